package media

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLanguageCode(t *testing.T) {
	for in, want := range map[string]string{
		"eng": "eng", "FRA\x00deu\x00": "fra", "qaa": "qaa", "und": "", "UND": "", "": "", "en": "", "e g": "", "e1g": "", "\xe5ng": "", "[ab": "", "@ab": "",
	} {
		require.Equal(t, want, LanguageCode([]byte(in)), "%q", in)
		require.True(t, IsLanguage(LanguageCode([]byte(in))))
	}
	for _, s := range []string{"e", "en", "engl", "Eng", "en\n", "e\"g", "é1", "e\x00g"} {
		require.False(t, IsLanguage(s), "%q", s)
	}
	for code, want := range map[string]bool{"qaa": true, "qad": true, "qtz": true, "qua": false, "pzz": false, "": false} {
		require.Equal(t, want, IsLocalLanguage(code), code)
	}
}
