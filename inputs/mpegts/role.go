package mpegts

import (
	"brume/media"
	"brume/media/ts"
)

// audioRole finds out whom audio is for, and in which language it is: by the supplementary_audio_descriptor (ETSI EN 300 468
// 6.4.11), else by the service type of AC-3 (annex D), else by the audio_type of the language descriptor (ISO/IEC 13818-1
// 2.6.19).
func audioRole(d ts.Descriptors) (role media.TrackRole, language string) {
	language = d.Language()
	if media.IsLocalLanguage(language) {
		language = ""
	}
	for tag, b := range d.All() {
		if tag != ts.DescriptorExtension || len(b) < 2 || b[0] != ts.ExtensionSupplementaryAudio {
			continue
		}
		if b[1]&1 != 0 {
			if l := media.LanguageCode(b[2:]); l != "" && !media.IsLocalLanguage(l) {
				language = l
			}
		}
		return supplementaryRole(b[1]), language
	}
	for tag, b := range d.All() {
		if (tag == ts.DescriptorAC3 || tag == ts.DescriptorEAC3) && len(b) >= 2 && b[0]&0x80 != 0 {
			if role = serviceRole(b[1]); role != "" {
				return role, language
			}
		}
	}
	if b, ok := d.Find(ts.DescriptorISO639); ok && len(b) >= 4 {
		switch b[3] {
		case 2:
			role = media.TrackHearing
		case 3:
			role = media.TrackDescription
		}
	}
	return role, language
}

// supplementaryRole reads mix_type and editorial_classification (ETSI EN 300 468 tables J.3, J.4).
func supplementaryRole(b byte) media.TrackRole {
	switch b >> 2 & 0x1F {
	case 1:
		return described(b&0x80 != 0)
	case 2:
		return media.TrackHearing
	case 3:
		return media.TrackSubtitles
	}
	return ""
}

// serviceRole reads component_type of AC-3 and E-AC-3 (ETSI EN 300 468 table D.2).
func serviceRole(b byte) media.TrackRole {
	switch b >> 3 & 7 {
	case 2:
		return described(b&0x40 != 0)
	case 3:
		return media.TrackHearing
	}
	return ""
}

// described is the role of a description of pictures; whole: with the sound of the programme.
func described(whole bool) media.TrackRole {
	if whole {
		return media.TrackDescription
	}
	return media.TrackNarration
}
