"""What a model's labels mean: ISO 639-3 and ISO 15924 (`cmn_Hani`) as the codes of this project (`zh`)."""

from __future__ import annotations

from functools import lru_cache

import polars as pl

# ISO 639-3 code and its ISO 639-1 code, for all languages that have one.
_ISO_639 = (
    "aar:aa abk:ab afr:af aka:ak amh:am ara:ar arg:an asm:as ava:av ave:ae aym:ay aze:az bak:ba bam:bm bel:be "
    "ben:bn bis:bi bod:bo bos:bs bre:br bul:bg cat:ca ces:cs cha:ch che:ce chu:cu chv:cv cor:kw cos:co cre:cr "
    "cym:cy dan:da deu:de div:dv dzo:dz ell:el eng:en epo:eo est:et eus:eu ewe:ee fao:fo fas:fa fij:fj fin:fi "
    "fra:fr fry:fy ful:ff gla:gd gle:ga glg:gl glv:gv grn:gn guj:gu hat:ht hau:ha hbs:sh heb:he her:hz hin:hi "
    "hmo:ho hrv:hr hun:hu hye:hy ibo:ig ido:io iii:ii iku:iu ile:ie ina:ia ind:id ipk:ik isl:is ita:it jav:jv "
    "jpn:ja kal:kl kan:kn kas:ks kat:ka kau:kr kaz:kk khm:km kik:ki kin:rw kir:ky kom:kv kon:kg kor:ko kua:kj "
    "kur:ku lao:lo lat:la lav:lv lim:li lin:ln lit:lt ltz:lb lub:lu lug:lg mah:mh mal:ml mar:mr mkd:mk mlg:mg "
    "mlt:mt mon:mn mri:mi msa:ms mya:my nau:na nav:nv nbl:nr nde:nd ndo:ng nep:ne nld:nl nno:nn nor:no nya:ny "
    "oci:oc oji:oj ori:or orm:om oss:os pan:pa pli:pi pol:pl por:pt pus:ps que:qu roh:rm ron:ro run:rn rus:ru "
    "sag:sg san:sa sin:si slk:sk slv:sl sme:se smo:sm sna:sn snd:sd som:so sot:st spa:es sqi:sq srd:sc srp:sr "
    "ssw:ss sun:su swa:sw swe:sv tah:ty tam:ta tat:tt tel:te tgk:tg tgl:tl tha:th tir:ti ton:to tsn:tn tso:ts "
    "tuk:tk tur:tr twi:tw uig:ug ukr:uk urd:ur uzb:uz ven:ve vie:vi vol:vo wln:wa wol:wo xho:xh yid:yi yor:yo "
    "zha:za zho:zh zul:zu"
)
# The member by which models name a language of several varieties, and the code of lid.176 for it.
_MEMBERS = (
    "cmn:zh arb:ar swh:sw ekk:et lvs:lv nob:no pes:fa prs:fa zsm:ms azj:az khk:mn uzn:uz als:sq ydd:yi npi:ne "
    "ory:or plt:mg gug:gn kmr:ku pbt:ps fil:tl"
)


def split_label(label: str) -> tuple[str, str]:
    """The language code and the script (ISO 15924, "" where the label names none) of a model's label.

    `eng_Latn` is ("en", "Latn"), `cmn_Hani` ("zh", "Hani"); a language without a code of two letters keeps its
    three (`ceb_Latn` is "ceb"), and a label without a script is a code as it stands (lid.176: `en`, `ceb`).
    """
    code, separator, script = label.replace("-", "_").partition("_")
    if not separator:
        return label, ""
    return _short_codes().get(code, code), script


def primary_language(languages: pl.Series) -> pl.Series:
    """Language codes without script and region: `zh-Hans` and `zh_CN` are `zh`."""
    return languages.str.replace("[-_].*$", "").str.to_lowercase()


@lru_cache(maxsize=1)
def _short_codes() -> dict[str, str]:
    return dict(pair.split(":") for pair in f"{_ISO_639} {_MEMBERS}".split())
