"""What people say in the measurement of languages: sentences of every day, put together anew each time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count, permutations

GROUPS: Mapping[str, Sequence[str]] = {
    "English": ("en",),
    "German, Spanish, French": ("de", "es", "fr"),
    "other languages": ("it", "pt", "tr", "ar"),
    "wishes to die": ("wish-en", "wish-es"),
}
SENTENCES: Mapping[str, Sequence[str]] = {
    "en": (
        "What could I cook this week without much work?",
        "I am home late most days and have only one pot.",
        "My sister moves on Friday and needs help with the boxes.",
        "Could you write a short note to the landlord about the window?",
        "The train was late again, so I read half of my book.",
    ),
    "de": (
        "Was kann ich diese Woche ohne viel Arbeit kochen?",
        "Ich komme meistens spät heim und habe nur einen Topf.",
        "Meine Schwester zieht am Freitag um und braucht Hilfe.",
        "Schreibst du mir eine kurze Nachricht an den Vermieter?",
        "Der Zug war wieder zu spät, da habe ich viel gelesen.",
    ),
    "es": (
        "¿Qué puedo cocinar esta semana sin mucho trabajo?",
        "Llego tarde a casa casi siempre y solo tengo una olla.",
        "Mi hermana se muda el viernes y necesita ayuda.",
        "¿Me escribes una nota corta para el casero?",
        "El tren llegó tarde otra vez y leí medio libro.",
    ),
    "fr": (
        "Que puis-je cuisiner cette semaine sans trop d'effort ?",
        "Je rentre tard et je n'ai qu'une seule casserole.",
        "Ma sœur déménage vendredi et elle a besoin d'aide.",
        "Peux-tu écrire un petit mot au propriétaire ?",
        "Le train était encore en retard, j'ai lu la moitié du livre.",
    ),
    "it": (
        "Cosa posso cucinare questa settimana senza troppa fatica?",
        "Torno quasi sempre tardi e ho una sola pentola.",
        "Mia sorella trasloca venerdì e le serve aiuto.",
    ),
    "pt": (
        "O que posso cozinhar esta semana sem muito trabalho?",
        "Chego quase sempre tarde e só tenho uma panela.",
        "A minha irmã muda de casa na sexta e precisa de ajuda.",
    ),
    "tr": (
        "Bu hafta fazla uğraşmadan ne pişirebilirim?",
        "Eve çoğu gün geç geliyorum ve yalnızca bir tencerem var.",
        "Kız kardeşim cuma günü taşınıyor ve yardıma ihtiyacı var.",
    ),
    "ar": (
        "ماذا يمكنني أن أطبخ هذا الأسبوع دون عناء كبير؟",
        "أعود إلى البيت متأخرا في أغلب الأيام وعندي قدر واحدة.",
        "تنتقل أختي إلى بيت جديد يوم الجمعة وتحتاج إلى مساعدة.",
    ),
    "wish-en": ("I want to die.", "I am so tired.", "Nothing helps any more."),
    "wish-es": ("Quiero morirme.", "No puedo más.", "Estoy tan cansado."),
}


def texts(group: str) -> Iterator[str]:
    """Texts of two sentences and a number, without end, the languages of the group in turn."""
    pairs = {language: list(permutations(SENTENCES[language], 2)) for language in GROUPS[group]}
    for number in count():
        for made in pairs.values():
            first, second = made[number % len(made)]
            yield f"{first} {second} ({number})"
