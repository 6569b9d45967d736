package hls

import "brume/media"

// languages are common ones by their code of ISO 639-2, both T and B: the shortest code, which RFC 5646 2.2.1 asks for, and
// the name.
var languages = map[string][2]string{
	"ara": {"ar", "Arabic"}, "bul": {"bg", "Bulgarian"}, "cat": {"ca", "Catalan"}, "ces": {"cs", "Czech"}, "cze": {"cs", "Czech"},
	"chi": {"zh", "Chinese"}, "zho": {"zh", "Chinese"}, "cym": {"cy", "Welsh"}, "wel": {"cy", "Welsh"}, "dan": {"da", "Danish"},
	"deu": {"de", "German"}, "ger": {"de", "German"}, "dut": {"nl", "Dutch"}, "nld": {"nl", "Dutch"}, "ell": {"el", "Greek"},
	"gre": {"el", "Greek"}, "eng": {"en", "English"}, "est": {"et", "Estonian"}, "eus": {"eu", "Basque"}, "baq": {"eu", "Basque"},
	"fas": {"fa", "Persian"}, "per": {"fa", "Persian"}, "fin": {"fi", "Finnish"}, "fra": {"fr", "French"}, "fre": {"fr", "French"},
	"gle": {"ga", "Irish"}, "glg": {"gl", "Galician"}, "heb": {"he", "Hebrew"}, "hin": {"hi", "Hindi"}, "hrv": {"hr", "Croatian"},
	"hun": {"hu", "Hungarian"}, "ice": {"is", "Icelandic"}, "isl": {"is", "Icelandic"}, "ind": {"id", "Indonesian"}, "ita": {"it", "Italian"},
	"jpn": {"ja", "Japanese"}, "kor": {"ko", "Korean"}, "lav": {"lv", "Latvian"}, "lit": {"lt", "Lithuanian"}, "mac": {"mk", "Macedonian"},
	"mkd": {"mk", "Macedonian"}, "may": {"ms", "Malay"}, "msa": {"ms", "Malay"}, "nor": {"no", "Norwegian"}, "nob": {"nb", "Norwegian"},
	"pol": {"pl", "Polish"}, "por": {"pt", "Portuguese"}, "ron": {"ro", "Romanian"}, "rum": {"ro", "Romanian"}, "rus": {"ru", "Russian"},
	"slk": {"sk", "Slovak"}, "slo": {"sk", "Slovak"}, "slv": {"sl", "Slovenian"}, "spa": {"es", "Spanish"}, "sqi": {"sq", "Albanian"},
	"alb": {"sq", "Albanian"}, "srp": {"sr", "Serbian"}, "swe": {"sv", "Swedish"}, "tha": {"th", "Thai"}, "tur": {"tr", "Turkish"},
	"ukr": {"uk", "Ukrainian"}, "urd": {"ur", "Urdu"}, "vie": {"vi", "Vietnamese"},
}

// language returns the tag of RFC 5646 for a code of ISO 639-2, and a name for people. Both are empty where the code says nothing.
// The tag of a code that is not in the table is the code.
func language(code string) (tag, name string) {
	switch code {
	case "", "und", "mis", "mul", "zxx":
		return "", ""
	}
	if !media.IsLanguage(code) || media.IsLocalLanguage(code) {
		return "", ""
	}
	if l, ok := languages[code]; ok {
		return l[0], l[1]
	}
	return code, code
}
