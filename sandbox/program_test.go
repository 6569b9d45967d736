package sandbox

import (
	"maps"
	"slices"
	"testing"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/bpf"
)

// refuses judges a call by the rules themselves, without a filter.
func (p policy) refuses(name string, args [6]uint64) bool {
	holds := func(c seccomp.Condition) bool {
		a := args[c.Argument]
		switch c.Operation {
		case seccomp.Equal:
			return a == c.Value
		case seccomp.NotEqual:
			return a != c.Value
		case seccomp.BitsSet:
			return a&c.Value != 0
		case seccomp.BitsNotSet:
			return a&c.Value == 0
		default:
			panic(c.Operation)
		}
	}
	for _, r := range p.refuse {
		for _, set := range r.when {
			if r.name == name && !slices.ContainsFunc(set, func(c seccomp.Condition) bool { return !holds(c) }) {
				return true
			}
		}
	}
	return false
}

// TestFilterDoesAsTheRulesSay gives each call that is judged by its arguments the values of its rules, values beside them, and the numbers
// of all calls: a filter that compares an argument with what was meant for the number of a call refuses healthy calls.
func TestFilterDoesAsTheRulesSay(t *testing.T) {
	for _, p := range []Profile{Connection, HTTP, Listener} {
		t.Run(p.String(), func(t *testing.T) {
			vm, table := filterVM(t, p)
			pol := policyOf(p, testPID)
			names, sets := pol.conditions()
			for _, name := range names {
				number, known := table.SyscallNames[name]
				if !known {
					continue
				}
				judged := map[uint32][]uint64{} // by argument
				for _, c := range slices.Concat(sets[name]...) {
					judged[c.Argument] = append(judged[c.Argument], 0, c.Value, c.Value+1, c.Value-1, c.Value|1<<40, c.Value<<32, ^c.Value)
				}
				try := func(args [6]uint64) {
					want := answerAllow
					if pol.refuses(name, args) {
						want = answerRefuse
					}
					if got := judge(t, vm, uint32(table.ID), number, args[:]...); got != want {
						require.Equal(t, want, got, "%s%v", name, args)
					}
				}
				arguments := slices.Sorted(maps.Keys(judged))
				for _, swept := range arguments {
					values := slices.Concat(judged[swept], numbers(table.SyscallNumbers))
					combine(arguments, judged, swept, values, try)
				}
			}
		})
	}
}

func numbers(calls map[int]string) (all []uint64) {
	for n := range calls {
		all = append(all, uint64(n))
	}
	return all
}

// combine calls try with each value of the swept argument, together with each combination of the judged values of the others.
func combine(arguments []uint32, judged map[uint32][]uint64, swept uint32, values []uint64, try func([6]uint64)) {
	var next func(i int, args [6]uint64)
	next = func(i int, args [6]uint64) {
		if i == len(arguments) {
			try(args)
			return
		}
		of := judged[arguments[i]]
		if arguments[i] == swept {
			of = values
		}
		slices.Sort(of)
		for _, v := range slices.Compact(of) {
			args[arguments[i]] = v
			next(i+1, args)
		}
	}
	next(0, [6]uint64{})
}

func BenchmarkProgram(b *testing.B) {
	table, err := arch.GetInfo("")
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bpf.Assemble(policyOf(Connection, testPID).program(table)); err != nil {
			b.Fatal(err)
		}
	}
}
