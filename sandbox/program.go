package sandbox

import (
	"math"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Answers of the filter (seccomp(2)).
const (
	answerAllow  = uint32(unix.SECCOMP_RET_ALLOW)
	answerRefuse = uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.EACCES)
	answerAbsent = uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.ENOSYS)
	answerTrap   = uint32(unix.SECCOMP_RET_TRAP)
	answerKill   = uint32(unix.SECCOMP_RET_KILL_PROCESS)
)

// Offsets in struct seccomp_data.
const (
	offsetNumber    = 0
	offsetArch      = 4
	offsetArguments = 16 // eight bytes each
)

// x32 is set in the numbers of calls of the x32 ABI, which would go round the others' rules.
const x32 = 0x40000000

// program compiles the policy into one filter. A call that has rules with conditions is decided within its own block: the number of
// the call, which the block has replaced by an argument, is compared with nothing after it. (The library that the names come from goes on
// comparing, and takes an argument for the number of another call.)
func (p policy) program(table *arch.Info) []bpf.Instruction {
	out := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(table.ID), SkipTrue: 1},
		bpf.RetConstant{Val: answerTrap}, // another architecture's call
		bpf.LoadAbsolute{Off: offsetNumber, Size: 4},
	}
	if table.ID == arch.X86_64.ID {
		out = append(out, bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: x32, SkipFalse: 1}, bpf.RetConstant{Val: answerAbsent})
	}
	// The first comparison that holds decides, so the strictest list comes first; those with conditions are what is called most.
	simple := func(answer uint32, names ...string) {
		for _, name := range names {
			out = append(out, onCall(table, name, bpf.RetConstant{Val: answer})...)
		}
	}
	names, sets := p.conditions()
	for _, name := range names {
		out = append(out, onCall(table, name, block(sets[name])...)...)
	}
	simple(answerKill, p.kill...)
	simple(answerAbsent, p.absent...)
	for _, r := range p.refuse {
		if len(r.when) == 0 {
			simple(answerRefuse, r.name)
		}
	}
	simple(answerAllow, p.allow...)
	return append(out, bpf.RetConstant{Val: answerTrap})
}

// conditions returns the calls that are refused with some arguments only, in their order, and the sets of conditions of each.
func (p policy) conditions() (names []string, sets map[string][]seccomp.ArgumentConditions) {
	sets = map[string][]seccomp.ArgumentConditions{}
	for _, r := range p.refuse {
		if len(r.when) == 0 {
			continue
		}
		if sets[r.name] == nil {
			names = append(names, r.name)
		}
		sets[r.name] = append(sets[r.name], r.when...)
	}
	return names, sets
}

// onCall runs a block, which must end with an answer, for the call of this name; without one where the architecture has no such call.
func onCall(table *arch.Info, name string, block ...bpf.Instruction) []bpf.Instruction {
	number, known := table.SyscallNames[name]
	if !known {
		return nil
	}
	// A conditional jump goes 255 instructions at most, the other one as far as it has to.
	return append([]bpf.Instruction{
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(number), SkipTrue: 1},
		bpf.Jump{Skip: uint32(len(block))},
	}, block...)
}

// block refuses a call for which all conditions of one set hold, and allows it otherwise.
func block(sets []seccomp.ArgumentConditions) (out []bpf.Instruction) {
	for _, set := range sets {
		out = append(out, refuseIf(set)...)
	}
	return append(out, bpf.RetConstant{Val: answerAllow})
}

// refuseIf refuses a call for which all conditions hold, and goes on behind itself otherwise. Each condition is four instructions; an
// argument has 64 bits, of which the kernel gives the filter two words.
func refuseIf(set seccomp.ArgumentConditions) (out []bpf.Instruction) {
	for i, c := range set {
		end := 4*(len(set)-i) + 1 // from the condition's first instruction to behind the answer
		if end > math.MaxUint8 {
			panic("sandbox: more conditions in a set than a jump can skip")
		}
		fail := func(at int) uint8 { return uint8(end - at - 1) } // from the instruction at this place
		const next = 2                                            // from the first jump to the next condition
		high, low := uint32(c.Value>>32), uint32(c.Value)
		var first, last bpf.JumpIf
		switch c.Operation {
		case seccomp.Equal:
			first = bpf.JumpIf{Cond: bpf.JumpEqual, Val: high, SkipFalse: fail(1)}
			last = bpf.JumpIf{Cond: bpf.JumpEqual, Val: low, SkipFalse: fail(3)}
		case seccomp.NotEqual:
			first = bpf.JumpIf{Cond: bpf.JumpEqual, Val: high, SkipFalse: next}
			last = bpf.JumpIf{Cond: bpf.JumpEqual, Val: low, SkipTrue: fail(3)}
		case seccomp.BitsSet:
			first = bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: high, SkipTrue: next}
			last = bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: low, SkipFalse: fail(3)}
		case seccomp.BitsNotSet:
			first = bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: high, SkipTrue: fail(1)}
			last = bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: low, SkipTrue: fail(3)}
		default:
			panic("sandbox: the filter knows no operation " + string(c.Operation))
		}
		word := offsetArguments + 8*c.Argument // the lower one, on the little-endian architectures that Brume is built for
		out = append(out, bpf.LoadAbsolute{Off: word + 4, Size: 4}, first, bpf.LoadAbsolute{Off: word, Size: 4}, last)
	}
	return append(out, bpf.RetConstant{Val: answerRefuse})
}
