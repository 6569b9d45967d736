package sandbox

import (
	"fmt"
	"os"
	"slices"
	"strconv"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// restrictCalls loads the profile's filters on all threads. The first error tells
// what is missing, the second that something failed which is there.
func restrictCalls(p Profile) (missing, err error) {
	table, err := arch.GetInfo("")
	if err != nil || !seccomp.Supported() {
		return fmt.Errorf("the kernel or this architecture has none"), nil
	}
	if err := catchDenied(); err != nil {
		return err, nil
	}
	for _, f := range policyOf(p, os.Getpid()).filters(table) {
		filter := seccomp.Filter{Flag: seccomp.FilterFlagTSync, Policy: f}
		if err := seccomp.LoadFilter(filter); err != nil {
			return nil, fmt.Errorf("sandbox: seccomp: %w", err)
		}
	}
	return nil, nil
}

// shortJumps is how many instructions a filter may have: where a jump is longer than 255, the library inserts
// instructions under jumps that it has placed already, and those with conditions then land beside their goal.
const shortJumps = 250

// filters turns the policy into filters of one action each. (In one filter with several groups the library obeys
// only the first: each ends in the default action.) The kernel takes the strictest answer of all filters; a
// trap is stricter than an error, so that the allow-list names whatever another filter answers with an error.
func (p policy) filters(table *arch.Info) []seccomp.Policy {
	one := func(action, otherwise seccomp.Action, rules []rule) seccomp.Policy {
		group := seccomp.SyscallGroup{Action: action}
		for _, r := range rules {
			if _, known := table.SyscallNames[r.name]; !known {
				continue // this architecture never had it
			}
			if len(r.when) == 0 {
				group.Names = append(group.Names, r.name)
			}
			for _, set := range r.when {
				group.NamesWithCondtions = append(group.NamesWithCondtions, seccomp.NameWithConditions{Name: r.name, Conditions: set})
			}
		}
		return seccomp.Policy{DefaultAction: otherwise, Syscalls: []seccomp.SyscallGroup{group}}
	}
	allowed := slices.Clone(p.allow)
	for _, r := range p.refuse {
		allowed = append(allowed, r.name)
	}
	allowed = append(allowed, p.absent...)
	slices.Sort(allowed)
	all := []seccomp.Policy{
		one(seccomp.ActionKillProcess, seccomp.ActionAllow, always(p.kill...)),
		one(seccomp.ActionErrno|seccomp.Action(unix.ENOSYS), seccomp.ActionAllow, always(p.absent...)),
	}
	for _, rules := range portions(p.refuse) {
		all = append(all, one(seccomp.ActionErrno|seccomp.Action(unix.EACCES), seccomp.ActionAllow, rules))
	}
	// The last, since it allows no more filters.
	return append(all, one(seccomp.ActionAllow, seccomp.ActionTrap, always(slices.Compact(allowed)...)))
}

// portions cuts rules to what fits into a filter each. It does not matter which filter a rule is in.
func portions(rules []rule) (all [][]rule) {
	const frame = 10 // the library's own instructions
	size := shortJumps
	for _, r := range rules {
		n := 1
		for _, set := range r.when {
			n += 4 * len(set) // two words are loaded and compared
		}
		if size+n > shortJumps {
			all = append(all, nil)
			size = frame
		}
		last := len(all) - 1
		all[last] = append(all[last], r)
		size += n
	}
	return all
}

// SyscallName names a system call of this architecture, for the number that a process
// left behind which ended with ExitDenied. An unknown one is its number.
func SyscallName(number int) string {
	if table, err := arch.GetInfo(""); err == nil {
		if name, ok := table.SyscallNumbers[number]; ok {
			return name
		}
	}
	return strconv.Itoa(number)
}
