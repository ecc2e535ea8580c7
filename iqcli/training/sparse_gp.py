"""A sparse Gaussian process with a learnt layer in its kernel: bound, posterior and optimisation.

Titsias, "Variational learning of inducing variables in sparse Gaussian processes" (2009): with
inducing points Z, K_zz = L L^T and A = L^-1 K_zx / noise^0.5, the log likelihood of n opinions y
about their mean is at least

    log N(y | 0, noise (A^T A + I)) - (n signal / noise - |A|^2) / 2

and exactly that where Z is all of the data. In double precision, without minibatches.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import Parameter
from torch.nn.utils import parameters_to_vector, vector_to_parameters

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from iqcli.records import Doubles


# Added to the correlations of the inducing points with themselves: they may come to coincide.
JITTER = 1e-8
# Directions that the data determine less than this are left out of the posterior.
SETTLED = 1e-10
# No parameter needs to be larger: inputs are whitened, scales are logarithms.
LIMIT = 8.0


class Kernel(torch.nn.Module):
    """Signal times Matern-5/2, a length scale a width, of w skip + tanh(w hidden + bias).

    `inducing` (m, components) are whitened inputs like every w (n, components). The layer is the
    identity, and no parameter, until `deepen`. `signal` and `noise` are variances.
    """

    def __init__(self, inducing: Doubles, lengths: Doubles, signal: float, noise: float) -> None:
        super().__init__()
        size = inducing.shape[1]
        self.inducing = Parameter(torch.tensor(inducing, dtype=torch.float64))
        self.skip = Parameter(torch.eye(size, dtype=torch.float64), requires_grad=False)
        self.hidden = Parameter(torch.zeros_like(self.skip), requires_grad=False)
        self.bias = Parameter(torch.zeros_like(self.skip[0]), requires_grad=False)
        self.log_lengths = Parameter(torch.tensor(lengths, dtype=torch.float64).log())
        self.log_signal = Parameter(torch.tensor(math.log(signal), dtype=torch.float64))
        self.log_noise = Parameter(torch.tensor(math.log(noise), dtype=torch.float64))

    def points(self, whitened: torch.Tensor) -> torch.Tensor:
        """(n, components) to (n, width), in units of the length scales."""
        curved = torch.tanh(whitened @ self.hidden + self.bias)
        return (whitened @ self.skip + curved) / self.log_lengths.exp()

    def roots(self, whitened: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """L (m, m) and A (m, n) of the module's text, for n whitened inputs."""
        inducing = self.points(self.inducing)
        own = matern(inducing, inducing) + JITTER * torch.eye(len(inducing), dtype=torch.float64)
        lower = torch.linalg.cholesky(self.log_signal.exp() * own)
        cross = self.log_signal.exp() * matern(inducing, self.points(whitened))
        return lower, _solve(lower, cross) / (self.log_noise / 2).exp()


def matern(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(n, width) and (m, width) points to their (n, m) Matern-5/2 correlations."""
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    # Above 0, where the root has no gradient.
    r = (5 * squared.clamp_min(1e-24)).sqrt()
    return (1 + r + r**2 / 3) * torch.exp(-r)


def bound(kernel: Kernel, whitened: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
    """The lower bound of the log likelihood of (n,) opinions less their mean; a scalar."""
    _, a = kernel.roots(whitened)
    count, noise = len(rest), kernel.log_noise.exp()
    outer = torch.linalg.cholesky(a @ a.T + torch.eye(len(a), dtype=torch.float64))
    explained = _solve(outer, (a @ rest)[:, None])
    fit = (rest @ rest - (explained**2).sum()) / noise
    volume = 2 * outer.diagonal().log().sum() + count * (kernel.log_noise + math.log(2 * math.pi))
    unexplained = count * kernel.log_signal.exp() / noise - (a**2).sum()
    return -(fit + volume + unexplained) / 2


@torch.no_grad()
def posterior(
    kernel: Kernel, whitened: torch.Tensor, rest: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (m, rank) and weights (rank,) that predict by
    `iqcli.models.gaussian_process.observe`.

    The posterior is k^T noise^-0.5 L^-T B^-1 A y with variance signal - |L^-1 k|^2 + |C^-1 k|^2,
    B = I + A A^T = V (1 + s) V^T and C C^T = L B L^T. The two squares differ by one:
    |k^T L^-T V (s / (1 + s))^0.5|^2, whose every factor is well conditioned even where B is not.
    """
    lower, a = kernel.roots(whitened)
    spread, directions = torch.linalg.eigh(a @ a.T)
    settled = spread > SETTLED * (1 + spread)
    spread, directions = spread[settled], directions[:, settled]
    scaled = directions * (spread / (1 + spread)).sqrt()
    features = torch.linalg.solve_triangular(lower.T, scaled, upper=True)
    weights = directions.T @ (a @ rest) / (spread * (1 + spread)).sqrt()
    noise, signal = kernel.log_noise.exp(), kernel.log_signal.exp()
    # The features take correlations, not covariances.
    return signal * features, weights / noise.sqrt()


def spread_out(points: Doubles, count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Rows of `count` of the (n, d) points, far apart: the seeds of k-means++.

    Fewer where there are fewer distinct points. Source: Arthur and Vassilvitskii 2007.
    """
    rows = [int(random.integers(len(points)))]
    nearest = ((points - points[rows[0]]) ** 2).sum(axis=1)
    while len(rows) < count and nearest.max() > 1e-12:
        rows.append(int(random.choice(len(points), p=nearest / nearest.sum())))
        nearest = np.minimum(nearest, ((points - points[rows[-1]]) ** 2).sum(axis=1))
    return np.array(rows)


def maximise_bound(
    kernel: Kernel,
    whitened: torch.Tensor,
    rest: torch.Tensor,
    steps: int,
    stop: Callable[[], bool],
) -> None:
    """Maximise the bound by L-BFGS until it converges, or for `steps`, or until `stop` is true."""
    from scipy.optimize import Bounds, minimize

    free = [each for each in kernel.parameters() if each.requires_grad]

    def place(values: Doubles) -> None:
        with torch.no_grad():
            vector_to_parameters(torch.from_numpy(values.copy()), free)

    def loss(values: Doubles) -> tuple[float, Doubles]:
        place(values)
        value = -bound(kernel, whitened, rest) / len(rest)
        slopes = torch.autograd.grad(value, free)
        return float(value.detach()), parameters_to_vector(slopes).numpy()

    def after(intermediate_result: object) -> None:
        place(intermediate_result.x)  # type: ignore[attr-defined]
        if stop():
            raise StopIteration

    start = parameters_to_vector(free).detach().numpy().clip(-LIMIT, LIMIT)
    limits = Bounds(-LIMIT, LIMIT)
    found = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=limits,
        callback=after,
        options={"maxiter": steps},
    )
    place(found.x)


def _solve(lower: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return torch.linalg.solve_triangular(lower, right, upper=False)
