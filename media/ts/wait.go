package ts

import "slices"

// Wait is what a program of a transport stream waits for before its first access units can be used.
type Wait string

// The values of Wait, in the order in which they follow each other. The empty one: nothing, its access units are given on.
const (
	WaitTables     Wait = "tables"     // PAT and PMT
	WaitProgram    Wait = "program"    // the program that was asked for, which the transport stream does not have
	WaitMedia      Wait = "media"      // audio or video that the PMT names
	WaitKeyframe   Wait = "keyframe"   // a random access point of the video
	WaitParameters Wait = "parameters" // parameter sets of the video, which did not come with its random access points
	WaitVideo      Wait = "video"      // video, while audio comes
	WaitAudio      Wait = "audio"      // audio, while video comes
)

// Known reports whether it is one of the values.
func (w Wait) Known() bool {
	return slices.Contains([]Wait{"", WaitTables, WaitProgram, WaitMedia, WaitParameters, WaitKeyframe, WaitVideo, WaitAudio}, w)
}
