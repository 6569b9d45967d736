package media

import "strings"

// LanguageCode returns the ISO 639-2 code in the first three bytes in lower case, empty where the bytes hold no code, or that for undetermined.
func LanguageCode(b []byte) string {
	if len(b) < 3 {
		return ""
	}
	code := strings.ToLower(string(b[:3]))
	if !IsLanguage(code) || code == "und" {
		return ""
	}
	return code
}

// IsLanguage reports whether s has the form of what LanguageCode returns: three letters in lower case, or nothing.
func IsLanguage(s string) bool {
	return s == "" || len(s) == 3 && !strings.ContainsFunc(s, func(r rune) bool { return r < 'a' || r > 'z' })
}

// IsLocalLanguage reports whether a code is one of ISO 639-2's for local use, qaa to qtz, which says nothing to others: French
// broadcasters use qaa and qad.
func IsLocalLanguage(code string) bool { return code >= "qaa" && code <= "qtz" }
