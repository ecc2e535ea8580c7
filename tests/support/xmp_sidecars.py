"""XMP sidecars in the ways of several programs, with what iq must never touch."""

from __future__ import annotations

from xml.etree.ElementTree import canonicalize

from iqcli.photos.xmp import FLAGS, RATING
from iqcli.xmp.write import CHANGED, IQ, LABEL, LISTS, SIDECAR_FOR

XAP = "http://ns.adobe.com/xap/1.0/"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
# Three stars that a person gave.
RATED = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    'syntax-ns#"><rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="3"/>'
    "</rdf:RDF></x:xmpmeta>"
)
# Attributes, a history of structures, comments, single quotes, a line break inside a tag.
DARKTABLE = f"""<?xml version="1.0" encoding="UTF-8"?>
<!-- of a person's -->
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="{RDF}">
  <rdf:Description rdf:about=""
    xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:xmp="{XAP}"
    xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
    xmlns:darktable="http://darktable.sf.net/"
    xmlns:dc='http://purl.org/dc/elements/1.1/'
   exif:DateTimeOriginal="2019:05:01 16:01:36"
   xmpMM:DerivedFrom='IMG &gt; "1".CR2'
   darktable:xmp_version="5"
   darktable:history_end="2"
   darktable:history_current_hash="0123456789abcdef">
   <darktable:masks_history>
    <rdf:Seq/>
   </darktable:masks_history>
   <darktable:history>
    <rdf:Seq>
     <rdf:li
      darktable:num="0"
      darktable:operation="flip"
      darktable:params="ffffffff"
      darktable:blendop_params="gz12eJxjYGBgkGAAgRNODESDBnsIHll8ANNSGQM="/>
     <rdf:li darktable:num="1" darktable:operation="exposure"
      xmp:Rating="5" darktable:params="gz04eJzjYRgFowABWAbaAaNgwAEAPRQAEQ=="/>
    </rdf:Seq>
   </darktable:history>
   <dc:creator><rdf:Seq><rdf:li>Zo\u00eb</rdf:li></rdf:Seq></dc:creator><!-- after -->
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""
# Elements in several descriptions, a wrapper with padding, keywords of a person's, CDATA.
LIGHTROOM = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0-c000">
   <rdf:RDF xmlns:rdf="{RDF}">
      <rdf:Description rdf:about=""
            xmlns:xap="{XAP}"
            xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/">
         <xap:MetadataDate>2020-01-01T17:28:23+01:00</xap:MetadataDate>
         <xap:Rating>0</xap:Rating>
         <crs:Look>
            <rdf:Description crs:Name="Adobe Color" crs:Amount="1">
               <crs:Parameters rdf:parseType="Resource"><crs:Version><![CDATA[1 < 2]]></crs:Version>
               </crs:Parameters>
            </rdf:Description>
         </crs:Look>
      </rdf:Description>
      <rdf:Description rdf:about=""
            xmlns:dc="http://purl.org/dc/elements/1.1/"
            xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/">
         <photoshop:SidecarForExtension>CR2</photoshop:SidecarForExtension>
         <dc:subject>
            <rdf:Bag>
               <rdf:li>Krak\u00f3w</rdf:li>
               <rdf:li>\u732b</rdf:li>
            </rdf:Bag>
         </dc:subject>
      </rdf:Description>
   </rdf:RDF>
</x:xmpmeta>
{(" " * 99 + chr(10)) * 20}<?xpacket end="w"?>"""
# No label set, tags in a sequence, line ends of Windows, all attributes on a tag that ends itself.
DIGIKAM = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="{RDF}">
  <rdf:Description rdf:about="" xmlns:digiKam="http://www.digikam.org/ns/1.0/"
   xmlns:MicrosoftPhoto="http://ns.microsoft.com/photo/1.0/"
   digiKam:ColorLabel="0" digiKam:PickLabel="0" MicrosoftPhoto:Rating="0">
   <digiKam:TagsList>
    <rdf:Seq>
     <rdf:li>Places/Poland</rdf:li>
    </rdf:Seq>
   </digiKam:TagsList>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
""".replace("\n", "\r\n")
# One line, one tag, no room between.
TINY = (
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="{RDF}"><r:Description r:about="uuid:1" '
    'xmlns:f="http://www.fstopapp.com/xmp/" f:favorite="1"/></r:RDF></x:xmpmeta>'
)
EMPTY = f'<rdf:RDF xmlns:rdf="{RDF}"> </rdf:RDF>'
# Another program's prefix for us, ours for another, and the default prefix for RDF.
PREFIXES = (
    f'<RDF xmlns="{RDF}"><Description xmlns:iq="urn:other" xmlns:xmp="urn:another" '
    'iq:score="a" xmp:Rating="b"><iq:x/></Description></RDF>'
)
FORMS = {
    "darktable": DARKTABLE.encode(),
    "lightroom": LIGHTROOM.encode(),
    "digikam": DIGIKAM.encode(),
    "tiny": TINY.encode(),
    "prefixes": PREFIXES.encode(),
    "bom": b"\xef\xbb\xbf" + DIGIKAM.encode(),
    "utf-16": DARKTABLE.replace('"UTF-8"', '"UTF-16"').encode("utf-16"),
    "utf-16-be": b"\xfe\xff" + LIGHTROOM.encode("utf-16-be"),
    "padded": b"\n\n" + LIGHTROOM.encode() + b"\0\0\0",
}
OURS = {RATING, LABEL, CHANGED, SIDECAR_FOR, *FLAGS, *LISTS}
OURS |= {note for _, note in LISTS.values()}
OURS |= {IQ + name for name in ("score", "model", "decision")}
OURS |= {IQ + name for name in ("wroteRating", "previousRating", "wroteLabel")}
OURS |= {IQ + name for name in ("wrotePick", "previousPick")}


def text_of(packet: bytes) -> str:
    """The text of a packet in any encoding."""
    wide = packet[:2] in (b"\xff\xfe", b"\xfe\xff")
    return packet.decode("utf-16" if wide else "utf-8-sig").strip("\ufeff\0 \r\n")


def others(packet: bytes) -> str:
    """Canonical XML (C14N 2.0, with comments) of everything that is not ours."""
    names = {"exclude_attrs": OURS, "exclude_tags": OURS}
    return canonicalize(text_of(packet), with_comments=True, strip_text=True, **names)
