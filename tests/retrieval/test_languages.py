"""The language of hard texts: initials, names, code, lists, and what is too short to tell without its neighbours."""

from __future__ import annotations

import pytest

from ragchat.retrieval.languages import detect

ENGLISH = [
    "Kowalski, Z., Wójcik, W., Zieliński, O. (1998). J. Chem. Phys. 12, 33.",
    "[12] O. Nowak, Z. W. Birnbaum, I. K. Novák, V. Dvořák, Optik 5, 1931.",
    "van den Berg, J.; de la Cruz, M.; di Stefano, A.; von Braun, W.; Le Roux, P.; da Silva, L.",
    "San Francisco, Los Altos, El Cerrito, La Jolla, Las Vegas, Del Mar, Santa Cruz, Los Gatos, La Mesa",
    "NAME\n  tar - archiver\nSYNOPSIS\n  tar -c -f FILE -z -v -o -s -k [-C DIR]\nOPTIONS\n  -a, --all\n  -i, --in\n  -o, --on",
    "x = a + b; y = z * s; if (o && i) { u = w; v = k; }",
    "Network Working Group    J. Post\nRequest for Comments: 821    ISI",
    "a) i) ii) iii) b) o) u) z) w) s) v) k) e) y)",
    "Table 3. Z w i o u y e  0.1 0.2 0.3\nS k v 1 2 3",
    "Vitamin A, B, C, D, E, K; type I, type II, type O",
    "Alice Smith\nBob de Vries\nCarla van Dijk\nMiguel de los Santos\nPierre du Pont\nSylvie des Essarts",
    "El Niño and La Niña",
    "The Hague, Den Haag, Den Helder, 's-Hertogenbosch",
    "Beethoven: Die Zauberflöte; Der Freischütz; Das Rheingold; Die Walküre",
    "for i in range(10):\n    on = i in os.environ\n    print(i, on, end='')\n",
    "Toggle. Min. Max. On. Off. An. Die.",
    "GET /de/la/en HTTP/1.1\nHost: de.example.org\nAccept-Language: de, en;q=0.5, la",
    "error: cannot open 'foo': no such file (os error 2)",
    "option  default\nmin     10\nden     5\nder     on\nsi      no\n",
    "Marie Curie, née Skłodowska; Frédéric Chopin; Łódź; Kraków; Wrocław",
    "Lee, S., Kim, H. and Park, J. Spectra of a thin film. Phys. Rev. B 54, 1996.",
    "Marsh, P. L. Notes on slow pumps. Proc. Hydr. Soc. 11 (1971).\nOkafor, I. W., Zhang, Z. O. More notes. J. Hydr. 12 (1972).",
]
"""Reference lists, names, code and tables, which hold words and letters of other languages."""

SHORT = {
    "de": [
        "Die Pumpe läuft nicht an und das Ventil ist zu.",
        "Kein Strom auf der Leitung. Bitte die Sicherung prüfen.",
        "Rechnung für den Monat Mai",
        "Wir treffen uns am Montag um zehn im Büro.",
        "Öffnungszeiten: von 8 bis 12 Uhr, am Samstag nur nach Absprache",
    ],
    "fr": [
        "La pompe ne démarre pas et la vanne est fermée.",
        "Facture pour le mois de mai",
        "Nous nous voyons lundi à dix heures dans le bureau.",
        "C'est l'heure d'ouvrir l'école.",
        "Les horaires d'ouverture sont affichés sur la porte.",
    ],
    "es": [
        "La bomba no arranca y la válvula está cerrada.",
        "Factura para el mes de mayo",
        "Nos vemos el lunes a las diez en la oficina.",
        "El horario de apertura está en la puerta.",
    ],
    "it": [
        "La pompa non parte e la valvola è chiusa.",
        "Fattura per il mese di maggio",
        "Ci vediamo lunedì alle dieci nell'ufficio.",
        "Gli orari di apertura sono sulla porta della scuola.",
    ],
    "pl": [
        "Pompa nie działa i zawór jest zamknięty.",
        "Faktura za miesiąc maj, proszę zapłacić do piątku",
        "Spotkamy się w poniedziałek o dziesiątej w biurze.",
        "Godziny otwarcia są na drzwiach szkoły.",
    ],
    "nl": [
        "De pomp start niet en de klep is dicht.",
        "Factuur voor de maand mei",
        "Wij zien elkaar maandag om tien uur op het kantoor.",
        "De openingstijden staan op de deur van de school.",
    ],
    "sv": [
        "Pumpen startar inte och ventilen är stängd.",
        "Faktura för maj månad, som ska betalas till banken",
        "Vi ses på måndag klockan tio på kontoret.",
        "Öppettiderna står på dörren till skolan.",
    ],
    "pt": [
        "A bomba não arranca e a válvula está fechada.",
        "Fatura para o mês de maio",
        "Vemo-nos na segunda às dez no escritório.",
        "Os horários de abertura estão na porta da escola.",
    ],
    "cs": [
        "Čerpadlo nefunguje a ventil je zavřený.",
        "Faktura za měsíc květen, kterou je třeba zaplatit",
        "Uvidíme se v pondělí v deset v kanceláři.",
        "Otevírací doba je na dveřích školy.",
    ],
    "fi": [
        "Pumppu ei käynnisty ja venttiili on kiinni.",
        "Lasku toukokuulta, joka on maksettava",
        "Nähdään maanantaina kello kymmenen toimistolla.",
        "Aukioloajat ovat koulun ovessa.",
    ],
    "tr": [
        "Pompa çalışmıyor ve vana kapalı.",
        "Mayıs ayı için fatura",
        "Pazartesi saat onda ofiste görüşürüz.",
        "Açılış saatleri okulun kapısında yazıyor.",
    ],
    "en": [
        "The pump does not start and the valve is shut.",
        "Invoice for the month of May",
        "See you on Monday at ten in the office.",
        "Opening hours are on the door of the school.",
        "Meeting notes, to be sent to all",
    ],
}


@pytest.mark.parametrize("text", ENGLISH)
def test_initials_names_and_code_are_english(text: str) -> None:
    assert detect(text) == "en"


@pytest.mark.parametrize(
    ("language", "text"), [(code, text) for code, texts in SHORT.items() for text in texts]
)
def test_a_short_text_takes_the_language_of_its_neighbours(language: str, text: str) -> None:
    assert detect(text, language) == language
    assert detect(text) in (language, "en")


@pytest.mark.parametrize("text", ["Ersatzteil 4711", "x = 1", "", "Q3 2024", "Berlin"])
def test_what_does_not_tell_is_as_its_neighbours(text: str) -> None:
    assert detect(text, "de") == "de"
    assert detect(text) == "en"


def test_a_text_that_tells_is_what_it_is_whatever_its_neighbours_are() -> None:
    english = "The pump in the cellar has to be opened once a year, and it is the valve that you should look at first."
    german = "Die Pumpe im Keller muss einmal im Jahr geöffnet werden, und das Ventil ist das, was man zuerst prüft."
    assert detect(english, "de") == "en"
    assert detect(german, "fr") == detect(german, "en") == "de"
    assert detect("Насос не работает, и клапан закрыт.", "de") == "ru"
    assert detect("東京都", "ja") == "ja"
    assert detect("東京都") == "zh"


def test_long_code_is_english_in_any_folder() -> None:
    code = "\n".join(f"x_{i} = f{i}(a[{i}], b={i}); y{i}++" for i in range(60))
    assert detect(code, "de") == "en"


def test_a_list_of_names_in_german_is_german() -> None:
    names = "Anna Berg, Otto Klein, Frieda Lang, Emil Sommer, Ida Vogel, Karl Winter, Lena Wolf, Paul Zander"
    assert (
        detect(f"Mitglieder und Gäste, die zur Feier kamen: {names}. Sie alle wurden mit Musik begrüßt.")
        == "de"
    )
