"""Which language a document is in, and that words in it are found in the forms people type."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragchat.retrieval.analyzer import detect, is_second, query_terms, stop_terms, terms
from ragchat.retrieval.folding import lowered
from ragchat.retrieval.stopwords import LANGUAGES, stop_words

PARAGRAPHS = {
    "en": "The ferry leaves the island at nine and comes back in the evening. "
    "If the sea is rough, it stays in the harbour.",
    "de": "Die Fähre verlässt die Insel um neun und kommt am Abend zurück. Wenn die See rau ist, bleibt sie im Hafen.",
    "fr": "Le bac quitte l'île à neuf heures et revient le soir. Si la mer est agitée, il reste au port avec les pêcheurs.",
    "es": "El barco sale de la isla a las nueve y vuelve por la tarde. Si el mar está agitado, se queda en el puerto.",
    "it": "Il traghetto lascia l'isola alle nove e torna la sera. Se il mare è mosso, rimane nel porto con i pescatori.",
    "pt": "A balsa deixa a ilha às nove e volta à noite. "
    "Quando o mar está agitado, ela não sai do porto e os pescadores esperam.",
    "nl": "De veerboot verlaat het eiland om negen uur en komt in de avond terug. "
    "Als de zee ruw is, blijft hij in de haven.",
    "sv": "Färjan lämnar ön klockan nio och kommer tillbaka på kvällen. Om havet är oroligt stannar den i hamnen.",
    "da": "Færgen forlader øen klokken ni og kommer tilbage om aftenen. "
    "Hvis havet er uroligt, bliver den i havnen hele dagen.",
    "no": "Ferja forlater øya klokka ni og kommer tilbake om kvelden. "
    "Dersom sjøen ikke er rolig, blir den liggende, og hva gjør du da?",
    "fi": "Lautta lähtee saaresta yhdeksältä ja palaa illalla. "
    "Jos meri on levoton, se jää satamaan, koska matka ei ole turvallinen.",
    "et": "Praam lahkub saarelt kell üheksa ja tuleb õhtul tagasi. "
    "Kui meri on rahutu, siis jääb see sadamasse, sest sõit ei ole ohutu.",
    "hu": "A komp kilenckor indul a szigetről, és este tér vissza. "
    "Ha a tenger viharos, akkor nem indul el, hanem a kikötőben marad.",
    "pl": "Prom odpływa z wyspy o dziewiątej i wraca wieczorem. "
    "Jeśli morze jest wzburzone, to nie wypływa i zostaje w porcie.",
    "cs": "Trajekt odplouvá z ostrova v devět a vrací se večer. "
    "Když je moře rozbouřené, tak nevyplouvá a zůstává v přístavu.",
    "sk": "Trajekt odchádza z ostrova o deviatej a vracia sa večer. "
    "Keď je more rozbúrené, ktorý kapitán by vyplával, pretože je to nebezpečné?",
    "ro": "Feribotul pleacă de pe insulă la nouă și se întoarce seara. "
    "Dacă marea este agitată, rămâne în port cu pescarii.",
    "ca": "El vaixell surt de l'illa a les nou i torna al vespre. "
    "Si la mar està moguda, es queda al port amb els pescadors.",
    "tr": "Feribot adadan saat dokuzda ayrılır ve akşam geri döner. "
    "Deniz çok dalgalı ise limanda kalır, çünkü bu yolculuk güvenli değil.",
    "vi": "Phà rời đảo lúc chín giờ và trở về vào buổi tối. Nếu biển động thì nó sẽ ở lại trong cảng với các ngư dân.",
    "id": "Kapal itu meninggalkan pulau pada pukul sembilan dan kembali di malam hari. "
    "Jika laut tidak tenang, kapal akan tetap di pelabuhan.",
    "lt": "Keltas išplaukia iš salos devintą ir grįžta vakare. "
    "Jei jūra nerami, jis lieka uoste, nes kelionė yra pavojinga.",
    "sr": "Trajekt kreće sa ostrva u devet i vraća se uveče. Ako je more nemirno, on ostaje u luci, jer put nije siguran.",
    "sw": "Kivuko huondoka kisiwani saa tatu na hurudi jioni. "
    "Kama bahari si shwari, hubaki bandarini kwa sababu safari hiyo ni ya hatari.",
    "ru": "Паром уходит с острова в девять и возвращается вечером. Если море неспокойно, он остаётся в порту, и все ждут.",
    "uk": "Пором відходить з острова о дев'ятій і повертається ввечері. Якщо море неспокійне, він залишається в порту.",
    "bg": "Фериботът тръгва от острова в девет и се връща вечерта. Ако морето е бурно, той остава в пристанището.",
    "el": "Το πλοίο φεύγει από το νησί στις εννέα και επιστρέφει το βράδυ.",
    "ar": "تغادر العبارة الجزيرة في الساعة التاسعة وتعود في المساء. إذا كان البحر هائجا تبقى في الميناء.",
    "fa": "کشتی ساعت نه از جزیره حرکت می‌کند و شب برمی‌گردد. اگر دریا طوفانی باشد در بندر می‌ماند.",
    "ur": "کشتی نو بجے جزیرے سے روانہ ہوتی ہے اور شام کو واپس آتی ہے۔ اگر سمندر میں طوفان ہو تو وہ بندرگاہ میں رہتی ہے۔",
    "he": "המעבורת יוצאת מן האי בתשע וחוזרת בערב. אם הים סוער היא נשארת בנמל.",
    "hi": "नाव नौ बजे द्वीप से निकलती है और शाम को लौटती है। यदि समुद्र अशांत हो तो वह बंदरगाह में रहती है।",
    "mr": "बोट नऊ वाजता बेटावरून निघते आणि संध्याकाळी परत येते. समुद्र खवळलेला असेल तर ती बंदरात राहते आणि कोणी जात नाही.",
    "bn": "নৌকাটি নয়টায় দ্বীপ ছেড়ে যায় এবং সন্ধ্যায় ফিরে আসে।",
    "ta": "படகு ஒன்பது மணிக்கு தீவை விட்டு புறப்பட்டு மாலையில் திரும்புகிறது.",
    "th": "เรือข้ามฟากออกจากเกาะตอนเก้าโมงและกลับมาตอนเย็น",
    "km": "សាឡាងចេញពីកោះនៅម៉ោងប្រាំបួន",
    "zh": "渡轮九点离开小岛，晚上回来。如果海上风浪大，就留在港口。",
    "ja": "フェリーは九時に島を出て、夕方に戻ります。海が荒れているときは港にとどまります。",
    "ko": "배는 아홉 시에 섬을 떠나 저녁에 돌아옵니다. 바다가 거칠면 항구에 머뭅니다.",
    "hy": "Լաստանավը ժամը իննին լքում է կղզին և վերադառնում երեկոյան։",
}


@pytest.mark.parametrize("language", PARAGRAPHS)
def test_a_short_paragraph_tells_its_language(language: str) -> None:
    assert detect(PARAGRAPHS[language]) == language
    assert detect(PARAGRAPHS[language] + "\n\nsee src/app/config.py, v1.2.3\n" * 2) == language


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n\t",
        "12 | 34 | 56\n---|---|---\n7.5 | 8 | 9",
        "Q3 2024",
        "Berlin",
        "def total(items):\n    for i in items:\n        if i.de is None or i.la not in seen:\n            return sum(items)\n",
        'int main(int argc, char **argv) { for (size_t i = 0; i < n; i++) { printf("%d\\n", a[i]); } return 0; }',
        "SELECT id, nom FROM clients WHERE pays = 'FR' AND id IN (1, 2, 3) ORDER BY id;",
        "Los Angeles Rams, San Diego Chargers, Los Angeles Lakers, Los Angeles Clippers, Los Angeles Dodgers",
        '{"name": "x", "id": 17, "tags": ["a", "b"], "open": true}',
        "🔥🔥🔥",
    ],
)
def test_code_tables_and_what_is_too_short_count_as_english(text: str) -> None:
    assert detect(text) == "en"


def test_a_long_document_is_looked_at_in_two_places_only() -> None:
    licence = "Permission is hereby granted to any person. " * 20
    text = licence + (PARAGRAPHS["de"] + " ") * 20_000
    assert detect(text) == "de"
    started = time.perf_counter()
    for _ in range(20):
        detect(text)
    assert (time.perf_counter() - started) / 20 < 0.05  # two megabytes; a few milliseconds on a busy machine


@given(st.text())
def test_any_text_has_a_language(text: str) -> None:
    assert detect(text)


@pytest.mark.parametrize(
    ("language", "written", "typed"),
    [
        ("en", "Beyoncé sang in the café", "beyonce cafe"),
        ("en", "Send an e-mail", "email"),
        ("en", "Send an email", "e-mail"),
        ("de", "Die Häuser in der Straße", "haus strasse"),
        ("de", "Größe", "groesse"),
        ("de", "die Paketkennzeichnung", "Paketen"),
        ("fr", "Les élèves de l'école", "élève ecole"),
        ("it", "La temperatura dell'acqua", "acqua"),
        ("es", "Las canciones de México", "cancion mexico"),
        ("ro", "orașe mari", "orase"),
        ("tr", "Türkiye'nin kitapları", "türkiye kitap"),
        ("tr", "İSTANBUL IŞIK", "istanbul ışık"),
        ("ru", "Ёлка в книгах Москвы", "елка книга москва"),
        ("uk", "в університеті", "університет"),
        ("el", "τα βιβλία του ΟΔΥΣΣΕΑ", "βιβλιων οδυσσεας"),
        ("ar", "المُدَرِّسَة أحمد سنة ٢٠١٥", "مدرسة احمد 2015"),
        ("ar", "كـــتاب", "الكتاب"),
        ("he", "שָׁלוֹם", "שלום"),
        ("hi", "किताबें २०१५", "किताब 2015"),
        ("bn", "বিশ্ববিদ্যালয়ের", "বিশ্ববিদ্যালয়"),
        ("vi", "Vi\u0065\u0323\u0302t Nam", "việt nam"),
        ("fa", "كتاب", "کتاب"),
        ("ko", "물은 대한민국의", "물 대한민국"),
        ("ja", "東京タワーは高い", "東京タワー"),
        ("zh", "使用Python编程", "python 编程"),
        ("th", "สวัสดีชาวโลก", "ชาวโลก"),
        ("km", "សាកលវិទ្យាល័យ", "វិទ្យាល័យ"),
        ("zh", "the running engines", "engine"),
        ("ru", "the running engines", "engine"),
    ],
)
def test_what_is_written_is_found_by_what_is_typed(language: str, written: str, typed: str) -> None:
    found = set(terms(written, language))
    for word in typed.split():
        assert found & set(query_terms(word, (language,))), word


def test_a_query_is_analysed_for_every_language_held() -> None:
    assert set(query_terms("Universität Bevölkerung", ("en", "de"))) >= {"bevolker", "bevol*"}
    assert set(query_terms("populations", ("de", "en"))) >= set(terms("population", "en"))
    assert query_terms("photosynthesis", ("en", "de", "fr"))["photosynthesi"] == 1
    # In the order of the query: scores are added up in it, and shall be the same in every process.
    assert list(query_terms("parse_http_header Paketkennzeichnungen", ("en", "de"))) == [
        *("pars", "http", "header", "head", "parse_http_header", "parse*", "heade*"),
        *("paketkennzeichnungen", "paketkennzeichn", "paket*"),
    ]
    assert max(query_terms("Berlin Hamburg", ("en", "de", "fr", "es")).values()) == 1
    assert query_terms("war", ()) == query_terms("war", ("",))


def test_the_stop_words_of_the_language_of_the_query_go() -> None:
    held = ("en", "de")
    assert "war" in query_terms("Who won the war?", held)  # "was" in German
    assert "die" in query_terms("When did the king die?", held)  # "the" in German
    assert not {"war", "die", "was"} & set(query_terms("Was war die Ursache?", held))
    assert set(query_terms("¿Que es la fotosíntesis?", ("es",))) == set(terms("fotosintesis", "es"))
    assert set(query_terms("Qu'est-ce que l'énergie ?", ("fr",))) == set(terms("énergie", "fr"))
    assert set(query_terms("Why don't cats swim?")) == {"cat", "swim"}
    assert "是" not in query_terms("谁是杨利伟？", ("zh",))
    assert query_terms("是谁？", ("zh",))  # nothing else is left


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_lists_are_words_in_the_form_they_are_looked_up_in(language: str) -> None:
    words = stop_words(language)
    assert 20 <= len(words) <= 220
    assert {word for word in words if lowered(word, language).lower() == "" or " " in word} == set()
    assert all(word == word.lower() for word in words)
    assert all(stop_terms(language))
    if language not in ("ja", "zh"):  # words side by side are cut into pairs there
        plain = " ".join(word for word in words if "'" not in word)
        asked = query_terms(f"{plain} xylophone", (language,))
        first = [term for term in asked if not is_second(term)]
        assert first == [term for term in terms("xylophone", language) if not is_second(term)]
