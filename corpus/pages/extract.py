"""Pages to documents: the step behind `corpus extract`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fsspec
import polars as pl

from corpus.core.documents import DOCUMENT_SCHEMA
from corpus.core.engine import Parameters, Step, UnitOutput, run_step
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import file_hash
from corpus.core.inputs import Unit
from corpus.core.locations import file_format, list_files
from corpus.core.output import Manifest
from corpus.core.url_rules import list_parameters, read_lists, url_reasons
from corpus.pages.charset import decode_page, decode_text
from corpus.pages.extraction import EXTRACTORS, OUTPUT_FORMATS, Extracted, extract_page
from corpus.pages.page_types import page_type
from corpus.pages.screening import screen
from corpus.pages.warc import MAX_PAGE_BYTES, Page, read_pages
from corpus.text.language import among, identify_labels, known_languages, model_path, scripts
from corpus.text.language_codes import split_label

AUTO_DOMAIN = "auto"
TYPE_COUNT = "not_html: "  # how the manifest's counts of types begin
_BATCH_PAGES = 64
_COLUMNS = pl.Schema({**DOCUMENT_SCHEMA, "reason": pl.String()})
_CANONICAL = re.compile(r"<link\b[^>]*\brel\s*=\s*[\"']?canonical\b[^>]*>", re.I)
_HREF = re.compile(r"\bhref\s*=\s*[\"']?(https?://[^\s\"'>]+)", re.I)

Row = dict[str, Any]


@dataclass(frozen=True)
class ExtractOptions:
    """What `extract` does: `domain` is a name or `auto` (the host of the page's URL); `languages` are codes to
    keep (none: all; `zh-Hans` and `zh-Hant`: in one script), with at least `minimum_language_score`;
    `language_model` is a fastText model's file instead of lid.176.ftz (see `identify`); `paths_base` is where the
    relative lines of listings begin; `url_lists` a folder of URL lists;
    `output_format` is `text` or `markdown`."""

    domain: str = AUTO_DOMAIN
    languages: tuple[str, ...] = ()
    minimum_language_score: float = 0.65
    extractor: str = "trafilatura"
    output_format: str = "text"
    language_model: str | None = None
    paths_base: str = ""
    url_lists: str | None = None


def extract(
    inputs: Sequence[str | Path],
    output: Path,
    options: ExtractOptions = ExtractOptions(),
    *,
    workers: int | None = None,
    engine: str = "local",
    overwrite: bool = False,
    strict: bool = False,
) -> Manifest:
    """Extract the documents of WARC, WET and HTML files into a dataset directory and return its manifest.

    Every page is one row: in `documents/` or, with its `reason`, in `removed/`; `pages_in` is their sum. A removed
    page has a text where its extracted text was in another language. Three things are found out without parsing
    it, and leave no text: that it is plainly in another language (`other_language`, with `language_from` in its
    metadata), that it shows none (`empty`), or that its bytes are those of an earlier page of the same unit
    (`duplicate_body`, with `duplicate_of`). A page over a limit of `markup.too_complex` is removed with the limit
    in `over`. Pages that are no HTML are counted by type. Files' damaged places are in `set_aside/`. A document's
    id is a hash of its record's own id, file name and place, so that it is the same in every run and its own even
    where a crawl repeats a record. Raises ZeroToOneError when no document is left; the output stays.
    """
    if options.extractor not in EXTRACTORS:
        raise UsageError(f"unknown extractor `{options.extractor}`; choose {' or '.join(EXTRACTORS)}")
    if options.output_format not in OUTPUT_FORMATS:
        raise UsageError(f"unknown format `{options.output_format}`; choose {' or '.join(OUTPUT_FORMATS)}")
    if not 0 <= options.minimum_language_score <= 1:
        raise UsageError("--minimum-lang-score must lie between 0 and 1")
    for path, _ in list_files(inputs, options.paths_base):
        if file_format(path) not in ("warc", "html"):
            raise ZeroToOneError(f"{path}: neither WARC, WET nor HTML; name the pages by a glob")
    known = known_languages(options.language_model)
    for language in options.languages:
        if language.lower() not in known:
            raise UsageError(f"--lang {language}: unknown; the model knows {' '.join(sorted(known))}")
    parameters = {
        "domain": options.domain,
        "languages": list(options.languages),
        "minimum_language_score": options.minimum_language_score,
        "extractor": options.extractor,
        "output_format": options.output_format,
        "language_model": options.language_model,
        "language_model_sha256": file_hash(model_path(options.language_model)),
        **list_parameters(options.url_lists),
    }
    step = Step("corpus extract", parameters, _process)
    manifest = run_step(
        step,
        inputs,
        output,
        workers=workers,
        engine=engine,
        overwrite=overwrite,
        strict=strict,
        paths_base=options.paths_base,
    )
    if not manifest["counts"].get("documents_kept"):
        taken = ", ".join(f"{reason} took {pages:,}" for reason, pages in manifest["reasons"].items())
        raise ZeroToOneError(f"{output}: no documents left; {taken} (see removed/)")
    return manifest


def _process(unit: Unit, parameters: Parameters, output: UnitOutput) -> None:
    rows: list[Row] = []
    for row in _rows(unit, parameters, output):
        rows.append(row)
        if len(rows) == _BATCH_PAGES:
            _write(rows, parameters, output)
            rows = []
    if rows:
        _write(rows, parameters, output)


def _rows(unit: Unit, parameters: Parameters, output: UnitOutput) -> Iterator[Row]:
    seen: dict[bytes, str] = {}
    for batch in _batches(_pages(unit, output)):
        for page in _allowed(batch, parameters):
            if unit.format == "html":
                yield page_row(page, page.place, page.place, parameters, seen)
            else:
                yield page_row(page, unit.name, f"{unit.name}:{page.place}", parameters, seen)


def _pages(unit: Unit, output: UnitOutput) -> Iterator[Page]:
    """The pages of a unit in their order; what is none is counted or set aside."""
    if unit.format == "html":
        for path, name in unit.members:
            yield _html_page(path, name)
        return

    def set_aside(place: str, reason: str, record: str) -> None:
        output.set_aside(f"{unit.path}:{place}", reason, record)

    with fsspec.open(unit.path, "rb") as raw:
        for page in read_pages(raw, set_aside, start=unit.start, stop=unit.stop):
            if page is None:
                output.count("other_records")
            else:
                yield page


def _batches(pages: Iterable[Page]) -> Iterator[list[Page]]:
    """Pages some at a time, for what looks at many at once; few where they are large."""
    batch: list[Page] = []
    size = 0
    for page in pages:
        batch.append(page)
        size += len(page.body)
        if len(batch) == _BATCH_PAGES or size >= MAX_PAGE_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _allowed(pages: list[Page], parameters: Parameters) -> list[Page]:
    """The pages, each with the first URL rule that it fails as its reason, so that it is not parsed."""
    if not parameters.get("url_lists"):
        return pages
    urls = pl.Series([page.url for page in pages], dtype=pl.String)
    failed = url_reasons(urls, read_lists(parameters["url_lists"])).to_list()
    return [
        replace(page, reason=rules[0]) if rules and not page.reason else page
        for page, rules in zip(pages, failed, strict=True)
    ]


def page_row(page: Page, source: str, origin: str, parameters: Parameters, seen: dict[bytes, str]) -> Row:
    """The row of a page; `reason` is empty for a document, which has no language yet.

    `seen` has the hashes of the unit's earlier bodies with their pages' ids, and gets this one's.
    """
    row: Row = {
        "id": page_id(page.record_id, origin),
        "text": "",
        "url": page.url,
        "domain": _domain(parameters["domain"], page.url, source),
        "source": source,
        "origin": origin,
        "date": page.date,
        "reason": page.reason,
    }
    about: Row = {"record_id": page.record_id, "content_type": page.content_type, "warc_date": page.date}
    if page.reason == "not_html":
        about["type"] = page_type(page.content_type, page.body)
    if not page.reason:
        first = seen.setdefault(_body_hash(page), row["id"])
        if first != row["id"]:
            row["reason"], about["duplicate_of"] = "duplicate_body", first
        else:
            _read(page, parameters, row, about)
    more = {"replaced": about.get("characters_replaced", 0), "type": about.get("type", "")}
    return {**row, "metadata": _json(about), **more}


def page_id(record_id: str, origin: str) -> str:
    """32 hexadecimal digits from the record's own id and its place."""
    key = f"{record_id}\0{origin}".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(key, digest_size=16).hexdigest()


def host(url: str) -> str:
    """The host of a URL in lower case, without `www.` and port; "" where there is none."""
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.").rstrip(".")
    except ValueError:
        return ""


def _html_page(path: str, name: str) -> Page:
    with fsspec.open(path, "rb") as raw:
        body = raw.read(MAX_PAGE_BYTES + 1)
    reason = "too_large" if len(body) > MAX_PAGE_BYTES else ""
    link = _CANONICAL.search(decode_page(body[:65536]).text)
    address = _HREF.search(link[0]) if link else None
    return Page(name, "html", address[1] if address else "", "", "", "", None, body, reason)


def _body_hash(page: Page) -> bytes:
    """Equal for pages whose texts are equal before anything is decoded."""
    key = f"{page.kind}\0{page.charset or ''}\0".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(page.body, digest_size=16, key=hashlib.blake2b(key, digest_size=16).digest()).digest()


def _read(page: Page, parameters: Parameters, row: Row, about: Row) -> None:
    """Decode a page and extract its text: fill in the row's text, reason and date, and its metadata."""
    decoded = decode_page(page.body, page.charset) if page.kind == "html" else decode_text(page.body)
    about.update(charset=decoded.encoding, charset_from=decoded.evidence, characters_replaced=decoded.replaced)
    if page.kind == "text":
        row["text"] = decoded.text.replace("\0", "").strip()
        row["reason"] = "" if row["text"] else "no_text"
        return
    screened = screen(decoded.text, parameters["languages"], parameters["language_model"])
    if screened.reason:
        row["reason"] = screened.reason
        about["over"] = screened.detail
        if screened.language:
            about["language_from"] = "bare text"
            row["lang"], row["lang_score"] = screened.language, screened.score
        return
    result = extract_page(decoded.text, parameters["extractor"], parameters["output_format"])
    if not isinstance(result, Extracted):
        row["reason"] = result
        return
    about.update(title=result.title, author=result.author, declared_language=result.language)
    about["extractor"] = result.extractor
    row["text"], row["date"] = result.text, result.date or page.date


def _write(rows: list[Row], parameters: Parameters, output: UnitOutput) -> None:
    _identify(rows, parameters)
    kept = [row for row in rows if not row["reason"]]
    removed = [row for row in rows if row["reason"]]
    output.write("documents", pl.DataFrame(kept, schema=_COLUMNS).drop("reason"))
    output.write("removed", pl.DataFrame(removed, schema=_COLUMNS))
    output.count("pages_in", len(rows))
    output.count("documents_kept", len(kept))
    output.count("documents_removed", len(removed))
    for row in removed:
        output.reason(row["reason"])
        if row["type"]:
            output.count(TYPE_COUNT + row["type"])
    output.count("characters_replaced", sum(row["replaced"] for row in rows))


def _identify(rows: Iterable[Row], parameters: Parameters) -> None:
    """Fill in language and score, and the reason where they are not wanted."""
    waiting = [row for row in rows if not row["reason"]]
    texts = [row["text"] for row in waiting]
    labels, scores = identify_labels(texts, parameters["language_model"])
    languages = [split_label(label)[0] for label in labels]
    wanted = among(texts, languages, parameters["languages"])
    about = zip(labels, languages, scripts(texts, languages), strict=True)
    for row, score, is_wanted, names in zip(waiting, scores, wanted, about, strict=True):
        row["lang"], row["lang_score"] = names[1], score
        row["metadata"] = _with_language(row["metadata"], *names)
        if parameters["languages"] and not is_wanted:
            row["reason"] = "other_language"
        elif parameters["languages"] and score < parameters["minimum_language_score"]:
            row["reason"] = "low_language_score"


def _with_language(metadata: str, label: str, language: str, script: str) -> str:
    """Metadata with the script of Chinese, and the model's own label where it is not the language's code."""
    more = {"script": script, "language_label": label if label != language else ""}
    return _json(json.loads(metadata) | more) if any(more.values()) else metadata


def _domain(domain: str, url: str, source: str) -> str:
    if domain != AUTO_DOMAIN:
        return domain
    folder, separator, _ = source.partition("/")
    return host(url) or (folder if separator else "local")


def _json(about: Row) -> str:
    return json.dumps({name: value for name, value in about.items() if value}, ensure_ascii=False)
