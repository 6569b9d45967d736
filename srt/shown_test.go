package srt

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What an operator needs to find a typing error is shown, and whatever may be a secret is not.
func TestShowStreamID(t *testing.T) {
	for in, want := range map[string]string{
		"":           "",
		"live":       "live",
		"app/stream": "app/***",
		"/live":      "/live", "#!::r=live,m=HUNTER2": "#!::r=live,m=***", "publish:d/HUNTER2": "publish:d/***",
		"live#remark HUNTER2":                          "live#***",
		"two words":                                    "two ***",
		"live?token=HUNTER2&lang=de&m=write":           "live?token=***&***&m=write",
		"live?HUNTER2":                                 "live?***",
		"live&token=HUNTER2":                           "live&token=***",
		"token=HUNTER2":                                "token=***",
		"streamid=live":                                "streamid=live",
		"live%3Ftoken%3DHUNTER2":                       "live%***",
		"publish:live":                                 "publish:live",
		"publish:app/live:me:HUNTER2":                  "publish:app/***:me:***",
		"publish:live:me:HUNTER2:lang=HUNTER2":         "publish:live:me:***",
		"publish:live:HUNTER2":                         "publish:live:***",
		"publish:live:token=HUNTER2":                   "publish:live:token=***",
		"publish:live?token=HUNTER2:HUNTER2":           "publish:live?token=***",
		"write:live:me:HUNTER2":                        "write:***",
		"me:HUNTER2":                                   "***:***",
		"HUNTER2@live":                                 "***",
		"rtmp://me:HUNTER2@host/app":                   "rtmp:***",
		"#!::r=app/live,m=write,u=me,s=HUNTER2":        "#!::r=app/***,m=write,u=me,s=***",
		"#!::r=live,s=HUN,TER2,x=HUNTER2":              "#!::r=live,s=***,***,***",
		"#!::r=/live,u=/me/HUNTER2":                    "#!::r=/live,u=***",
		"#!::h=live/name,m=publish":                    "#!::h=live/***,m=publish",
		"#!::r=live?token=HUNTER2":                     "#!::r=***",
		"#!:{r=live,s=HUNTER2}":                        "#!:***",
		"%23!%3A%3Ar%3Dlive%2Cs%3DHUNTER2%2Cm%3Dwrite": "#!::r=live,s=***,m=write",
		"%23%21%3A%3Ar%3Dlive%2Cs%3DHUNTER2%2":         "%***",
	} {
		got := ShowStreamID(in)
		require.Equal(t, want, got, in)
		require.NotContains(t, got, "HUNTER2", in)
	}
}

// A secret stays hidden wherever a caller puts it, whatever characters it has.
func FuzzShowStreamID(f *testing.F) {
	for _, s := range []string{"secret-0815", "a:bcd", "a%26b", "a?bcd", "a b\tc"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, secret string) {
		if len(secret) < 4 || strings.ContainsAny(secret, "&;,=#") { // those end the secret, or look like another key
			t.Skip()
		}
		for _, form := range []string{"publish:live:me:", "live?token=", "live?pass=", "#!::r=live,s=", "#!::u=me,p=", "word:"} {
			shown := ShowStreamID(form + secret)
			require.Equal(t, ShowStreamID(form+"0123"), shown)
		}
	})
}
