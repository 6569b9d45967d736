package ts

import (
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Text reads a text field of DVB service information (ETSI EN 300 468 annex A) as UTF-8 of at most max bytes, without
// control codes and outer spaces. Whatever can't be read becomes U+FFFD: tables of Korean and Chinese are not known.
func Text(b []byte, max int) string {
	var s strings.Builder
	add := func(r rune) bool {
		switch {
		case r == '\u00a0':
			r = ' '
		case !unicode.IsPrint(r): // control codes (A.1), and what turns the direction of writing
			return true
		}
		if s.Len()+utf8.RuneLen(r) > max {
			return false
		}
		s.WriteRune(r)
		return true
	}
	table, b := textTable(b)
	switch table {
	case textUTF16:
		for ; len(b) >= 2; b = b[2:] {
			r := rune(b[0])<<8 | rune(b[1])
			if utf16.IsSurrogate(r) {
				r = utf8.RuneError
			}
			if !add(lineBreak(r)) {
				break
			}
		}
	case textUTF8:
		for _, r := range string(b) {
			if !add(lineBreak(r)) {
				break
			}
		}
	default:
		addBytes(table, b, add)
	}
	return strings.TrimSpace(s.String())
}

// lineBreak makes a space of the control code for a new line (table A.1, A.2).
func lineBreak(r rune) rune {
	if r == 0x8A || r == 0xE08A || r == '\n' {
		return ' '
	}
	return r
}

// The codings of a text, beside the parts of ISO/IEC 8859, which have their numbers.
const (
	textDefault = 0 // ISO/IEC 6937 with the euro sign (figure A.1)
	textUTF16   = -1 - iota
	textUTF8
	textUnknown
)

// textTable reads which coding a text has (tables A.3 and A.4) and returns the text itself.
func textTable(b []byte) (int, []byte) {
	switch {
	case len(b) == 0 || b[0] >= 0x20:
		return textDefault, b
	case b[0] >= 0x01 && b[0] <= 0x0B && b[0] != 0x08:
		return int(b[0]) + 4, b[1:]
	case b[0] == 0x10 && len(b) >= 3 && b[1] == 0 && b[2] >= 1 && b[2] <= 16 && b[2] != 12:
		return int(b[2]), b[3:]
	case b[0] == 0x11:
		return textUTF16, b[1:]
	case b[0] == 0x15:
		return textUTF8, b[1:]
	default:
		return textUnknown, b[1:]
	}
}

// addBytes decodes a text of one byte a character, and with accents before their letters in ISO/IEC 6937.
func addBytes(table int, b []byte, add func(rune) bool) {
	for i := 0; i < len(b); i++ {
		c := b[i]
		r := lineBreak(rune(c))
		switch {
		case c < 0xA0:
		case table == textDefault && c >= 0xC0 && c < 0xD0:
			i++
			if i == len(b) || !addAccented(accents[c-0xC0], b[i], add) {
				return
			}
			continue
		case table == textDefault:
			r = nth(latin6937, int(c-0xA0))
		case table == 1:
		case table > 0:
			r = nth(iso8859[table], int(c-0xA0))
		default:
			r = utf8.RuneError
		}
		if !add(r) {
			return
		}
	}
}

// accent is a diacritical mark that stands before its letter.
type accent struct {
	mark  rune   // as Unicode has it behind the letter
	pairs string // letters, and what they become with it
}

func addAccented(a accent, letter byte, add func(rune) bool) bool {
	if a.mark == 0 || letter >= 0x80 {
		return add(utf8.RuneError)
	}
	pairs := []rune(a.pairs)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] == rune(letter) {
			return add(pairs[i+1])
		}
	}
	return add(rune(letter)) && (letter <= ' ' || add(a.mark))
}

// nth is the character n of a table.
func nth(table string, n int) rune {
	for _, r := range table {
		if n == 0 {
			return r
		}
		n--
	}
	return utf8.RuneError
}

// latin6937 is 0xA0 to 0xFF of figure A.1.
const latin6937 = "\u00a0¡¢£€¥\ufffd§¤‘“«←↑→↓°±²³×µ¶·÷’”»¼½¾¿\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd—¹®©™♪¬¦\ufffd\ufffd\ufffd\ufffd⅛⅜⅝⅞ΩÆÐªĦ\ufffdĲĿŁØŒºÞŦŊŉĸæđðħıĳŀłøœßþŧŋ\u00ad"

// accents are 0xC0 to 0xCF of figure A.1.
var accents = [16]accent{
	0xC1 - 0xC0: {0x0300, "AÀEÈIÌOÒUÙaàeèiìoòuù"},
	0xC2 - 0xC0: {0x0301, "AÁCĆEÉIÍLĹNŃOÓRŔSŚUÚYÝZŹaácćeéiílĺnńoórŕsśuúyýzź"},
	0xC3 - 0xC0: {0x0302, "AÂCĈEÊGĜHĤIÎJĴOÔSŜUÛWŴYŶaâcĉeêgĝhĥiîjĵoôsŝuûwŵyŷ"},
	0xC4 - 0xC0: {0x0303, "AÃIĨNÑOÕUŨaãiĩnñoõuũ"},
	0xC5 - 0xC0: {0x0304, "AĀEĒIĪOŌUŪaāeēiīoōuū"},
	0xC6 - 0xC0: {0x0306, "AĂGĞUŬaăgğuŭ"},
	0xC7 - 0xC0: {0x0307, "CĊEĖGĠIİZŻcċeėgġzż"},
	0xC8 - 0xC0: {0x0308, "AÄEËIÏOÖUÜYŸaäeëiïoöuüyÿ"},
	0xC9 - 0xC0: {0x0308, "AÄEËIÏOÖUÜYŸaäeëiïoöuüyÿ"},
	0xCA - 0xC0: {0x030A, "AÅUŮaåuů"},
	0xCB - 0xC0: {0x0327, "CÇGĢKĶLĻNŅRŖSŞTŢcçgģkķlļnņrŗsştţ"},
	0xCD - 0xC0: {0x030B, "OŐUŰoőuű"},
	0xCE - 0xC0: {0x0328, "AĄEĘIĮUŲaąeęiįuų"},
	0xCF - 0xC0: {0x030C, "CČDĎEĚLĽNŇRŘSŠTŤZŽcčdďeělľnňrřsštťzž"},
}

// iso8859 is 0xA0 to 0xFF of each part of ISO/IEC 8859. Part 1 is the beginning of Unicode.
var iso8859 = [17]string{
	2:  "\u00a0Ą˘Ł¤ĽŚ§¨ŠŞŤŹ\u00adŽŻ°ą˛ł´ľśˇ¸šşťź˝žżŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢßŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ˙",
	3:  "\u00a0Ħ˘£¤\ufffdĤ§¨İŞĞĴ\u00ad\ufffdŻ°ħ²³´µĥ·¸ışğĵ½\ufffdżÀÁÂ\ufffdÄĊĈÇÈÉÊËÌÍÎÏ\ufffdÑÒÓÔĠÖ×ĜÙÚÛÜŬŜßàáâ\ufffdäċĉçèéêëìíîï\ufffdñòóôġö÷ĝùúûüŭŝ˙",
	4:  "\u00a0ĄĸŖ¤ĨĻ§¨ŠĒĢŦ\u00adŽ¯°ą˛ŗ´ĩļˇ¸šēģŧŊžŋĀÁÂÃÄÅÆĮČÉĘËĖÍÎĪĐŅŌĶÔÕÖ×ØŲÚÛÜŨŪßāáâãäåæįčéęëėíîīđņōķôõö÷øųúûüũū˙",
	5:  "\u00a0ЁЂЃЄЅІЇЈЉЊЋЌ\u00adЎЏАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдежзийклмнопрстуфхцчшщъыьэюя№ёђѓєѕіїјљњћќ§ўџ",
	6:  "\u00a0\ufffd\ufffd\ufffd¤\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd،\u00ad\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd؛\ufffd\ufffd\ufffd؟\ufffdءآأؤإئابةتثجحخدذرزسشصضطظعغ\ufffd\ufffd\ufffd\ufffd\ufffdـفقكلمنهوىي\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd",
	7:  "\u00a0‘’£€₯¦§¨©ͺ«¬\u00ad\ufffd―°±²³΄΅Ά·ΈΉΊ»Ό½ΎΏΐΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡ\ufffdΣΤΥΦΧΨΩΪΫάέήίΰαβγδεζηθικλμνξοπρςστυφχψωϊϋόύώ\ufffd",
	8:  "\u00a0\ufffd¢£¤¥¦§¨©×«¬\u00ad®¯°±²³´µ¶·¸¹÷»¼½¾\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd‗אבגדהוזחטיךכלםמןנסעףפץצקרשת\ufffd\ufffd\u200e\u200f\ufffd",
	9:  "\u00a0¡¢£¤¥¦§¨©ª«¬\u00ad®¯°±²³´µ¶·¸¹º»¼½¾¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏĞÑÒÓÔÕÖ×ØÙÚÛÜİŞßàáâãäåæçèéêëìíîïğñòóôõö÷øùúûüışÿ",
	10: "\u00a0ĄĒĢĪĨĶ§ĻĐŠŦŽ\u00adŪŊ°ąēģīĩķ·ļđšŧž―ūŋĀÁÂÃÄÅÆĮČÉĘËĖÍÎÏÐŅŌÓÔÕÖŨØŲÚÛÜÝÞßāáâãäåæįčéęëėíîïðņōóôõöũøųúûüýþĸ",
	11: "\u00a0กขฃคฅฆงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรฤลฦวศษสหฬอฮฯะ\u0e31าำ\u0e34\u0e35\u0e36\u0e37\u0e38\u0e39\u0e3a\ufffd\ufffd\ufffd\ufffd฿เแโใไๅๆ\u0e47\u0e48\u0e49\u0e4a\u0e4b\u0e4c\u0e4d\u0e4e๏๐๑๒๓๔๕๖๗๘๙๚๛\ufffd\ufffd\ufffd\ufffd",
	13: "\u00a0”¢£¤„¦§Ø©Ŗ«¬\u00ad®Æ°±²³“µ¶·ø¹ŗ»¼½¾æĄĮĀĆÄÅĘĒČÉŹĖĢĶĪĻŠŃŅÓŌÕÖ×ŲŁŚŪÜŻŽßąįāćäåęēčéźėģķīļšńņóōõö÷ųłśūüżž’",
	14: "\u00a0Ḃḃ£ĊċḊ§Ẁ©ẂḋỲ\u00ad®ŸḞḟĠġṀṁ¶ṖẁṗẃṠỳẄẅṡÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏŴÑÒÓÔÕÖṪØÙÚÛÜÝŶßàáâãäåæçèéêëìíîïŵñòóôõöṫøùúûüýŷÿ",
	15: "\u00a0¡¢£€¥Š§š©ª«¬\u00ad®¯°±²³Žµ¶·ž¹º»ŒœŸ¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ",
	16: "\u00a0ĄąŁ€„Š§š©Ș«Ź\u00adźŻ°±ČłŽ”¶·žčș»ŒœŸżÀÁÂĂÄĆÆÇÈÉÊËÌÍÎÏĐŃÒÓÔŐÖŚŰÙÚÛÜĘȚßàáâăäćæçèéêëìíîïđńòóôőöśűùúûüęțÿ",
}
