"""Names with a time in them, by who writes them; and names that only seem to have one."""

from __future__ import annotations

from datetime import datetime

import pytest

from iqcli.photos.times.capture_time import NAME, Taken
from iqcli.photos.times.names import of_name

NOW = datetime(2026, 6, 1, 12)
# Each form of a name, who writes it, and the time in it.
FORMS = [
    # Messengers: the day that WhatsApp sent it, the moment that others did.
    ("IMG-20240102-WA0001.jpg", "2024-01-02"),
    ("WhatsApp Image 2024-01-02 at 12.00.07.jpeg", "2024-01-02T12:00:07"),
    ("WhatsApp Image 2024-01-02 at 3.04.05 PM (1).jpeg", "2024-01-02T15:04:05"),
    ("PHOTO-2020-01-02-03-04-05.jpg", "2020-01-02T03:04:05"),
    ("signal-2024-01-03-12-00-00-123.jpg", "2024-01-03T12:00:00.123"),
    ("signal-2024-01-03-120000.jpeg", "2024-01-03T12:00:00"),
    ("photo_2024-01-04_12-00-00.jpg", "2024-01-04T12:00:00"),
    ("photo_2024-01-04_12-00-00 (2).jpg", "2024-01-04T12:00:00"),
    ("photo_1@02-01-2020_03-04-05.jpg", "2020-01-02T03:04:05"),
    ("viber_image_2020-01-02_03-04-05-123.jpg", "2020-01-02T03:04:05.123"),
    ("viber image 2020-01-02 , 03.04.05.jpg", "2020-01-02T03:04:05"),
    ("Skype_Picture_2020_01_02T03_04_05_123Z.jpeg", "2020-01-02T03:04:05.123Z"),
    ("KakaoTalk_20200102_030405123.jpg", "2020-01-02T03:04:05.123"),
    ("FB_IMG_1577934245000.jpg", "2020-01-02T03:04:05Z"),
    ("mmexport1577934245123.jpg", "2020-01-02T03:04:05.123Z"),
    ("wx_camera_1577934245123.jpg", "2020-01-02T03:04:05.123Z"),
    ("1577934245123.jpg", "2020-01-02T03:04:05.123Z"),
    ("received_10157934245000123.jpeg", None),
    ("line_1577934245123.jpg", "2020-01-02T03:04:05.123Z"),
    ("LINE_ALBUM_20200102_200105_1.jpg", "2020-01-02"),
    ("IMG_1577934245.jpg", "2020-01-02T03:04:05Z"),
    ("Screenshot-1577934245.png", "2020-01-02T03:04:05Z"),
    ("Snapchat-1577934245.jpg", None),
    # Screenshots: Android, Xiaomi, macOS in several languages, GNOME, Windows, KDE.
    ("Screenshot_20240105-120000.png", "2024-01-05T12:00:00"),
    ("Screenshot_20240105-120000_Chrome.jpg", "2024-01-05T12:00:00"),
    ("Screenshot_2015-01-02-03-04-05.png", "2015-01-02T03:04:05"),
    ("Screenshot_2015-01-02-03-04-05-123_com.app.png", "2015-01-02T03:04:05.123"),
    ("Screenshot 2024-01-05 at 12.00.00.png", "2024-01-05T12:00:00"),
    ("Screenshot 2024-01-05 at 3.04.05\u202fPM.png", "2024-01-05T15:04:05"),
    ("Screen Shot 2014-01-02 at 12.04.05 AM.png", "2014-01-02T00:04:05"),
    ("Bildschirmfoto 2024-01-05 um 12.00.00.png", "2024-01-05T12:00:00"),
    ("Capture d\u2019écran 2020-01-02 à 03.04.05.png", "2020-01-02T03:04:05"),
    ("スクリーンショット 2020-01-02 午後3.04.05.png", "2020-01-02T15:04:05"),
    ("Screenshot from 2024-01-05 12-00-00.png", "2024-01-05T12:00:00"),
    ("Screenshot 2024-01-05 120000.png", "2024-01-05T12:00:00"),
    ("Zrzut ekranu 2020-01-2 o 03.04.05.png", "2020-01-02T03:04:05"),
    ("vlcsnap-2020-01-02-03h04m05s678.png", "2020-01-02T03:04:05.678"),
    ("Screenshot (12).png", None),
    ("Screenshot_20240105_120000.png", "2024-01-05T12:00:00"),
    # Phones and cameras. A Pixel names by UTC.
    ("PXL_20200102_030405123.jpg", "2020-01-02T03:04:05.123Z"),
    ("PXL_20200102_030405123.MP~2.jpg", "2020-01-02T03:04:05.123Z"),
    ("Copy of PXL_20200102_030405123.jpg", "2020-01-02T03:04:05.123Z"),
    ("20240108_120000.jpg", "2024-01-08T12:00:00"),
    ("20240108_120000(0).jpg", "2024-01-08T12:00:00"),
    ("20231207_101605_001.jpg", "2023-12-07T10:16:05"),
    ("IMG_20200102_030405.jpg", "2020-01-02T03:04:05"),
    ("IMG_20200102_030405-edited.jpg", "2020-01-02T03:04:05"),
    ("IMG20220101120000_BURST000_COVER.jpg", "2022-01-01T12:00:00"),
    ("00015IMG_00015_BURST20171111030039_COVER.jpg", "2017-11-11T03:00:39"),
    ("MVIMG_20200102_030405.jpg", "2020-01-02T03:04:05"),
    ("VID_20200102_030405.jpg", "2020-01-02T03:04:05"),
    ("P_20200102_030405_vHDR_Auto.jpg", "2020-01-02T03:04:05"),
    ("C360_2013-01-02-03-04-05-123.jpg", "2013-01-02T03:04:05.123"),
    ("WP_20140102_03_04_05_Pro.jpg", "2014-01-02T03:04:05"),
    ("WP_20140102_001.jpg", "2014-01-02"),
    ("DJI_20240102030405_0001_D.JPG", "2024-01-02T03:04:05"),
    *((name, None) for name in ("DJI_0001.JPG", "GOPR1234.JPG", "G0010001.JPG", "IMG_1234.JPG")),
    *((name, None) for name in ("DSC01234.JPG", "P1010001.JPG", "100_1990.jpg", "DSCF2012.jpg")),
    # Dropbox and other programs, and people.
    ("2020-01-02 03.04.05.jpg", "2020-01-02T03:04:05"),
    ("2020-01-02 03.04.05-1.jpg", "2020-01-02T03:04:05"),
    ("Photo 2020-01-02, 03 04 05.jpg", "2020-01-02T03:04:05"),
    ("20200102T030405Z.jpg", "2020-01-02T03:04:05Z"),
    ("2020-01-02T030405.123Z.jpg", "2020-01-02T03:04:05.123Z"),
    ("scan 2020-01-02.jpg", "2020-01-02"),
    *((f"{name}20200102.jpg", "2020-01-02") for name in ("Pic", "Image", "ed ")),
    ("2020-01-02_2020-01-05 trip.jpg", "2020-01-02"),
    ("IMG_20200102_trip_123456.jpg", "2020-01-02"),
]


@pytest.mark.parametrize(("name", "when"), FORMS)
def test_the_time_in_a_name(name: str, when: str | None) -> None:
    assert of_name(name, NOW) == (when and Taken(when, NAME))


@pytest.mark.parametrize(
    "name",
    [
        # Not yet, long before, no day, no time: no more is believed than is plausible.
        *("20260603_000000.jpg", "20991231.jpg", "19891231_120000.jpg", "20201301_030405.jpg"),
        *("19201080.jpg", "2023-02-30 12.00.00.jpg", "00000000.jpg", "1920x1080.jpg", ""),
        # Parts of other numbers, and of hashes.
        *("120200102_030405.jpg", "d41d8c20200102b204e9.jpg", "202001020304.jpg", "٢٠٢٠0102.jpg"),
        *("D41D8C20200102B204E9.jpg", "3f20200102030405ab.jpg", "v2020.1.2.jpg"),
        *("9577934245123.jpg", "IMG_15779342451234.jpg", "x" * 200_000, "2" * 200_000),
        *("1577934245.jpg", "photo-1577934245.jpg", "IMG_15779342450.jpg"),
    ],
)
def test_numbers_that_are_no_time(name: str) -> None:
    assert of_name(name, NOW) is None


def test_a_time_that_no_clock_shows_leaves_the_day() -> None:
    assert of_name("20240108_996000.jpg", NOW) == Taken("2024-01-08", NAME)
    assert of_name("2024-01-08 24.00.00.jpg", NOW) == Taken("2024-01-08", NAME)
    # Tomorrow is where a traveller may be.
    assert of_name("20260602_100000.jpg", NOW) == Taken("2026-06-02T10:00:00", NAME)
