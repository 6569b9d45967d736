package media

import "fmt"

// DolbyVisionSize is the length of Track.DolbyVision, in bytes.
const DolbyVisionSize = 5

// doviBrands are the brands of H.265 with Dolby Vision by dv_bl_signal_compatibility_id: what the picture is to those who do not
// know Dolby Vision (HDR10, SDR, HLG).
var doviBrands = map[byte]string{1: "db1p", 2: "db2g", 4: "db4h"}

// doviNames tells of video with Dolby Vision of profile 8, which others play as what it is without: the value of
// SUPPLEMENTAL-CODECS (draft-pantos-hls-rfc8216bis 4.4.6.2), and the brand of its files. Both are empty for everything else.
func (t *Track) doviNames() (codecs, brand string) {
	c := t.DolbyVision
	if t.Codec != H265 || len(c) != DolbyVisionSize || c[0] != 1 {
		return "", ""
	}
	profile, level := c[2]>>1, c[2]&1<<5|c[3]>>3
	brand = doviBrands[c[4]>>4]
	if profile != 8 || c[3]&7 != 0b101 || brand == "" { // one layer, with its metadata
		return "", ""
	}
	return fmt.Sprintf("dvh1.%02d.%02d/%s", profile, level, brand), brand
}

// HasDolbyVision reports whether DolbyVision is of a kind that is told to players.
func (t *Track) HasDolbyVision() bool {
	codecs, _ := t.doviNames()
	return codecs != ""
}

// Brand is the brand that a file of the track has beside others; empty for most.
func (t *Track) Brand() string {
	_, brand := t.doviNames()
	return brand
}
