package config

import (
	"fmt"
	"time"
)

func (v *checker) access(all []Access) {
	passwords := map[Name]Secret{}
	for i := range all {
		a := &all[i]
		path := fmt.Sprintf("access.%d", i)
		key := func(name string) string { return join(path, name) }
		switch {
		case a.User != "" && a.Token != "":
			v.wrong("an entry has either a user or a token", key("token"))
		case a.User != "" && a.Password == "":
			v.wrong("a user needs a password", key("user"))
		case a.User == "" && a.Password != "":
			v.wrong("a password needs a user; a secret alone is a token", key("password"))
		}
		if known, ok := passwords[a.User]; ok && a.User != "" && known != a.Password {
			v.wrong("the user has another password in an entry before", key("password"))
		}
		passwords[a.User] = a.Password
		if a.Action == "" {
			a.Action = ModeAny
		}
	}
}

func (v *checker) limits(l *Limits) {
	if l.ChildMemory < 128*mebibyte || l.ChildMemory > 8*1024*mebibyte {
		v.wrong(fmt.Sprintf("%s is out of range; write a size from 128MiB to 8GiB", l.ChildMemory), "limits.child_memory")
	}
	v.duration("limits.child_cpu", l.ChildCPU, time.Second, time.Hour)
}
