"""One spelling for English words that are spelled in two ways, and one form for plurals that no stemmer knows.


    British forms become American ones, by rules for the endings and a closed list; irregular plurals become singulars. It is no
dictionary of synonyms: both sides are the same word. Input and output are in lower case.
"""

from __future__ import annotations

import functools
import re

_OUR = re.compile(
    r"([a-z]{3,}|od)our((?:ed|ing|ings|er|ers|s|ful|fully|less|able|ably|al|ally|ism|ist|ists|ite|ites|hood|hoods|ly|y)?"
    r"|i[sz](?:e|ed|es|ing|ation))"
)
_ISE = re.compile(r"([a-z]{3,})is(e|ed|es|er|ers|ing|ingly|able|ation|ations|ational)")
_YSE = re.compile(r"([a-z]{2,})lys(e|ed|er|ers|ing)")
_RE = re.compile(r"((?:[a-z]*[^aeiou])?[a-z]*[a-z]{2}(?:t|b))re(s|d)?")
_OGUE = re.compile(r"([a-z]{3,})ogu(?:e(s|d)?|(ing))")
_DOUBLE_L = re.compile(
    r"([a-z]*[aeiouy][^aeiou]+[aeiu]l)l(?<!stall)(?<!call)(?<!fall)(ed|er|ers|ing|ings|or|ors|ery|ment|ments|ous)"
)
_CLASSICAL = re.compile(
    r"(?<=.)aem(?=i)|^(?:haem|paed|aesth|oestr|oesoph|foet|caes|faec|oede)|(?<=an)aesth|(?<=h)aem|(?<=p)aed(?=i)|(?<=ch)aeo"
    r"|(?<=l)aeo|(?<=n)aec|(?<=op)aed|(?<=man)oeu(?=v)|(?<=rrh)oe(?=a)|(?<=c)oeli|(?<=h)omoeo|(?<=di)aev"
)
_ENDS = ("e", "ed", "es", "er", "ers", "ing", "ingly", "able", "ation", "ations", "ational")
# With "ise" in both: what Webster left alone.
_ALWAYS_ISE = tuple(
    """
    
    adv advert appra apprem ar bru chast circumc compr comprom conc contrar cru dem desp dev disgu enterpr exc exerc expert
    
    franch improv imprec inc malad merchand mort otherw parad porpo pra prec prem prom ra repr rev superv surm surpr telev
    tort treat turquo uppra upr w
    """.split()  # noqa: SIM905
)

_PAIRS = """
    aeroplane airplane  ageing aging  aluminium aluminum  analogue analog  artefact artifact  axe ax  behove behoove
    calibre caliber  cancelled canceled  centring centering  centred centered  cheque check  chequer checker
    cosy cozy  defence defense  defences defenses  disc disk  discs disks  doughnut donut  draught draft
    draughts drafts
    enquire inquire  enquired inquired  enquiries inquiries  enquiry inquiry  enrol enroll  dialled dialed
    dialling dialing  fuelled fueled  fuelling fueling  fulfil fulfill  fulfils fulfills
    gaol jail  grey gray  greyed grayed
    greyscale grayscale  greys grays  instal install  jewellery jewelry
    judgement judgment  judgements judgments  acknowledgement acknowledgment  acknowledgements acknowledgments
    kerb curb  learnt learned  licence license  licences licenses  licenced licensed  manoeuvre maneuver
    meagre meager  mould mold  moulded molded  moulds molds  moult molt  moustache mustache  offence offense
    offences offenses  plough plow  ploughed plowed  ploughs plows  practise practice  practised practiced
    practises practices  practising practicing  pretence pretense  programme program  programmes programs
    pyjamas pajamas  sceptic skeptic  sceptical skeptical  scepticism skepticism  skilful skillful  skilfully skillfully
    speciality specialty  spelt spelled  burnt burned  smoulder smolder  storey story  storeys stories  sulphate sulfate
    sulphide sulfide  sulphur sulfur  sulphuric sulfuric  tranquillity tranquility  tyre tire  tyres tires
    wilful willful  woollen woolen  yoghurt yogurt  encyclopaedia encyclopedia  mediaeval medieval  leukaemia leukemia

    addenda addendum  algae alga  alumni alumnus  analyses analysis  antennae antenna  apices apex  appendices appendix
    appendixes appendix  automata automaton  axes axis  bacilli bacillus  bacteria bacterium  cacti cactus  calves calf
    children child  codices codex  corpora corpus  crises crisis  criteria criterion  diagnoses diagnosis  dwarves dwarf
    ellipses ellipsis  emphases emphasis  errata erratum  feet foot  foci focus  formulae formula  fungi fungus
    geese goose  genera genus  halves half  helices helix  hooves hoof  hypotheses hypothesis  indexes index
    indices index
    knives knife  larvae larva  lice louse  lives life  loaves loaf  loci locus  matrices matrix  maxima maximum
    memoranda memorandum  men man  metamorphoses metamorphosis  mice mouse  millennia millennium  minima minimum
    moduli modulus  nebulae nebula  neuroses neurosis  nuclei nucleus  oases oasis  optima optimum  oxen ox
    parentheses parenthesis  phenomena phenomenon  prognoses prognosis  quanta quantum  radii radius  scarves scarf
    schemata schema  selves self  shelves shelf  spectra spectrum  stimuli stimulus  strata stratum  syllabi syllabus
    symposia symposium  synopses synopsis  syntheses synthesis  teeth tooth  theses thesis  thieves thief
    vertebrae vertebra  vertices vertex  vortices vortex  wharves wharf  wives wife  wolves wolf  women woman
"""


@functools.cache
def _listed() -> dict[str, str]:
    words = _PAIRS.split()
    return dict(zip(words[::2], words[1::2], strict=True))


def english(word: str) -> str:
    """The American spelling of a word, or its singular where that is irregular; the word itself where it has neither."""
    known = _listed().get(word)
    if known is not None:
        return known
    if len(word) < _SHORTEST:
        return word
    if "ae" in word or "oe" in word:
        word = _CLASSICAL.sub(lambda found: found[0].replace("ae", "e").replace("oe", "e"), word)
    return _by_ending(word)


_SHORTEST = 5


def _by_ending(word: str) -> str:
    if "our" in word and (found := _OUR.fullmatch(word)):
        return english(found[1] + "or" + found[2])
    if "is" in word and (found := _ISE.fullmatch(word)) and not found[1].endswith(_ALWAYS_ISE):
        return f"{found[1]}iz{found[2]}"
    if "lys" in word and (found := _YSE.fullmatch(word)):
        return f"{found[1]}lyz{found[2]}"
    if "ll" in word and (found := _DOUBLE_L.fullmatch(word)):
        return found[1] + found[2]
    if "ogu" in word and (found := _OGUE.fullmatch(word)):
        return found[1] + "og" + {"d": "ed", "s": "s"}.get(found[2], found[3] or "")
    if "tre" in word or "bre" in word:
        return _re(word)
    return word


def _re(word: str) -> str:
    """ "centre" to "center", not "timbre" or "hatred"."""
    found = _RE.fullmatch(word)
    if not found or word.startswith(("timbre", "hatre", "entre", "notre", "padre", "desire")):
        return word
    return f"{found[1]}er{'ed' if found[2] == 'd' else found[2] or ''}"
