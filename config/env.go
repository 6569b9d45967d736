package config

import (
	"encoding"
	"reflect"
	"strings"

	"brume/near"
)

// EnvPrefix begins the name of every environment variable that sets a key.
const EnvPrefix = "BRUME_"

// override lays the environment, as os.Environ gives it, over c. It returns the variables
// that set something by their key, and what is wrong.
func override(c *Config, env []string) (map[string]string, problems) {
	leaves := map[string]leaf{}
	collect(reflect.ValueOf(c).Elem(), "", leaves)
	names := make([]string, 0, len(leaves))
	for name := range leaves {
		names = append(names, name)
	}
	set := map[string]string{}
	var wrong problems
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, EnvPrefix) {
			continue
		}
		l, ok := leaves[name]
		switch {
		case ok:
			if err := l.value.UnmarshalText([]byte(value)); err != nil {
				wrong = append(wrong, &Error{Key: name, Message: err.Error()})
				continue
			}
			set[l.key] = name
		case fileOnly(name) != "":
			wrong = append(wrong, &Error{Key: name, Message: fileOnly(name) + " can be set in the file only"})
		default:
			message := "unknown variable; unset it, or see the example file for the keys"
			if meant := near.Name(name, names); meant != "" {
				message = "unknown variable; did you mean " + meant + "?"
			}
			wrong = append(wrong, &Error{Key: name, Message: message})
		}
	}
	return set, wrong
}

// fileOnly tells which list or table a variable would set.
func fileOnly(name string) string {
	for _, key := range []string{"streams", "access", "srt.ports", "srt.networks", "srt.options", "srt.rendezvous"} {
		variable := EnvPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
		if name == variable || strings.HasPrefix(name, variable+"_") {
			return key
		}
	}
	return ""
}

type leaf struct {
	key   string
	value encoding.TextUnmarshaler
}

// collect gathers the leaves below v by the names of their variables.
func collect(v reflect.Value, path string, leaves map[string]leaf) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key := join(path, f.Tag.Get("yaml"))
		field := v.Field(i)
		if f.Anonymous {
			collect(field, path, leaves)
			continue
		}
		if l, ok := field.Addr().Interface().(encoding.TextUnmarshaler); ok {
			leaves[EnvPrefix+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))] = leaf{key, l}
		} else if field.Kind() == reflect.Struct {
			collect(field, key, leaves)
		}
	}
}
