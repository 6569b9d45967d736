//go:build race

package sandbox

// raceEnabled tells that the race detector is linked in; its shadow memory is more than a sandboxed process may have.
const raceEnabled = true
