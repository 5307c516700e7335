"""Characters that hide what a reader sees: invisible ones, piled-up marks, and letters that only look Latin.

Knows Unicode (NFKC of UAX #15; a hand-picked part of the confusables of UTS #39), no language but what a word list
tells. A text in its own alphabet is left alone: letters are exchanged where a word mixes alphabets, or where the text
around is Latin and an English word comes out.
"""

import re
import unicodedata

from midcourse.models.words import known

# Look-alikes and the Latin letter they pass for, in pairs. NFKC has done fullwidth, mathematical and circled ones.
_CYRILLIC = (
    "аaвbгrеeёeкkмmнhоoпnрpсcтtуyхxѕsіiїiјjԁdԛqԝwѡwһhӏlьbъbиnйnяrшwщwэeдaчyцuлnжx"
    "ЬbАAВBЕEЁEКKМMНHОOРPСCТTУYХXЅSІIЇIЈJԚQԜWҺHИNЙNЯRШWЩWЭEДAЦU"
)
_GREEK = "αaάaβbγyδdεeέeζzηnήnιiίiϊiκkμuνvοoόoπnρpσoςsτtυuύuχxωwώwϲcϳjΑAΆAΒBΕEΈEΖZΗHΉHΙIΊIΚKΜMΝNΟOΌOΡPΤTΥYΎYΧXΣEΛAΔA"
_ARMENIAN = "օoոnսuհhյjցgզqլlաwքpեtՕOՍUՏSԼL"
_CHEROKEE = "ᎠDᎡRᎢTᎥiᎩyᎪAᎫJᎬEᎳWᎷMᎻHᏀGᎽyᏆIᏒRᏔWᏕSᏙVᏚSᏞLᏟCᏢPᏦKᏧdᏼBᎾOᎤO"
_LISU = "ꓐBꓑPꓓDꓔTꓖGꓗKꓙJꓚCꓜZꓝFꓟMꓠNꓡLꓢSꓣRꓦVꓧHꓪWꓫXꓬYꓮAꓰEꓲIꓳOꓴU"
_SMALL_CAPS = "ᴀaʙbᴄcᴅdᴇeꜰfɢgʜhɪiᴊjᴋkʟlᴍmɴnᴏoᴘpꞯqʀrꜱsᴛtᴜuᴠvᴡwʏyᴢz"
_LATIN = "ɑaɡgıiȷjɩiʋvøoØOđdĐDħhłlŁLŧtƅbɓbɗdɠgƒfɦhɨiɫlɱmɲnɔoƙkƥpʠqʂsƭtʉuɐaǝeɹrʇtʌvʍwʎyɥhɟjʞk"
_ENCLOSED = {
    first + place: chr(ord("A") + place)
    for first in (0x1F150, 0x1F170, 0x1F1E6)  # white on black discs and squares, regional indicators
    for place in range(26)
}


def _pairs(text: str) -> dict[int, str]:
    return {ord(text[at]): text[at + 1] for at in range(0, len(text), 2)}


_ALIEN = {**_pairs(_CYRILLIC), **_pairs(_ARMENIAN), **_pairs(_CHEROKEE), **_pairs(_LISU)}
_CAREFUL = {**_pairs(_GREEK), **_pairs(_SMALL_CAPS), **_pairs(_LATIN), **_ENCLOSED}
"""Exchanged only where an English word comes out: formulas, phonetics, names and flags use them in good faith."""
_LOOKALIKES = {**_ALIEN, **_CAREFUL}
_TWINS = frozenset("аеіјорсѕухһԁԛԝӏАВЕЅІЈКМНОРСТУХԜօոսհցոՕՍ")
"""Those that no reader can tell from Latin letters: in a mixed word they are exchanged even if it is unknown."""
_SMALL = frozenset(_SMALL_CAPS[::2])
_OF_LATIN = frozenset(map(chr, {**_pairs(_SMALL_CAPS), **_pairs(_LATIN), **_ENCLOSED}))
_ANY_LOOKALIKE = re.compile(f"[{''.join(map(chr, _LOOKALIKES))}]")
_WORD = re.compile(r"[^\W\d_]+|[\U0001F150-\U0001F189\U0001F1E6-\U0001F1FF]+")

_JOINERS = "\u200c\u200d"
# Joiners are spelling in the scripts from Arabic to Khmer, and nowhere else.
_JOINED = "\u0600-\u17ff"
_HIDDEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\u20e3\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
    f"|[{_JOINERS}](?![{_JOINED}])|(?<![{_JOINED}])[{_JOINERS}]"
)
_TAGS = re.compile("[\U000e0020-\U000e007e]{12,}")
"""Tag characters spell ASCII invisibly, and models read it. A flag has at most six of them."""
_MARKS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20e2\u20e4-\u20ff\ufe20-\ufe2f"
"""Marks that go on any letter. Those of single scripts (Arabic, Hindi, Thai, ...) are spelling, and stay."""
_MARKED, _STACK = re.compile(f"[{_MARKS}]"), re.compile(f"([{_MARKS}])[{_MARKS}]+")
_STRANGE = re.compile("[^\n -~‘’“”–—…•→]")
"""What typography alone does not explain; the ellipsis is the one sign here that NFKC changes."""
_CHUNK = re.compile(r"\S+")


def visible(text: str) -> str:
    """The text in NFKC without what cannot be seen; lone surrogates, which no tokenizer takes, become U+FFFD."""
    if text.isascii():
        return _HIDDEN.sub("", text)
    if not _STRANGE.search(text):
        return text.replace("…", "...")
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    text = _TAGS.sub(lambda tags: f" {''.join(chr(ord(c) - 0xE0000) for c in tags.group())} ", text)
    text = unicodedata.normalize("NFKC", _HIDDEN.sub("", text).replace("\u2800", " "))
    if _MARKED.search(text):
        text = unicodedata.normalize("NFKC", _CHUNK.sub(lambda chunk: _thinned(chunk.group()), text))
    return text


def _thinned(chunk: str) -> str:
    """All marks gone where NFKC leaves several beside Latin letters; elsewhere one a letter."""
    loose = len(_MARKED.findall(chunk))
    apart = unicodedata.normalize("NFD", chunk) if loose else chunk
    if loose >= 2 and any(c.isascii() and c.isalpha() for c in apart):
        return _MARKED.sub("", apart)
    return _STACK.sub(r"\1", chunk) if loose else chunk


def latin(text: str) -> str:
    """Look-alikes and dropped accents back to plain letters, word by word, where that is what they hide."""
    if text.isascii():
        return text
    text = _without_accents(text)
    if not _ANY_LOOKALIKE.search(text):
        return text
    letters = [c for c in text if c.isalpha()]
    around = 2 * sum(c.isascii() or c in _OF_LATIN for c in letters) >= len(letters)
    posing = around and _posing(text)
    return _WORD.sub(lambda word: _folded(word.group(), around, posing), text)


def _posing(text: str) -> bool:
    """Whether words wholly in another alphabet look English, four of five at least: a quotation does not."""
    words = {word for word in _WORD.findall(text) if len(word) > 1 and not any(c.isascii() for c in word)}
    words = {word for word in words if any(ord(c) in _LOOKALIKES for c in word)}
    return 5 * sum(known(word.translate(_LOOKALIKES).lower()) for word in words) >= 4 * len(words)


def _folded(word: str, around: bool, posing: bool) -> str:
    """A word in Latin letters if it hides one, given whether the text is Latin and its foreign words look English."""
    plain = word if word.isascii() else word.translate(_LOOKALIKES)
    if plain == word or not plain.isascii():
        return word
    english = known(plain.lower())
    if _OF_LATIN.issuperset(word):
        small = _SMALL.issuperset(word)
        return plain if (english and (small or len(plain) >= 3)) or (small and len(plain) >= 4) else word
    if not any(c.isascii() for c in word):
        careful = any(ord(c) in _CAREFUL for c in word)
        return plain if posing and english and (len(plain) >= 3 or not careful) else word
    if english and len(plain) >= 3:
        return plain
    return plain if around and all(c.isascii() or c in _TWINS for c in word) else word


def _without_accents(text: str) -> str:
    """Accents dropped where words are English but for them, three at least and two fifths of all."""
    words = _WORD.findall(text)
    hidden = {word: plain for word in {*words} if (plain := _bare(word)) != word and known(plain.lower())}
    count = sum(word in hidden for word in words)
    if count < 3 or 5 * count < 2 * len(words):
        return text
    return _WORD.sub(lambda word: hidden.get(word.group(), word.group()), text)


def _bare(word: str) -> str:
    if word.isascii():
        return word
    return "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
