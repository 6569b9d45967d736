package controller

import (
	"strings"

	"brume/config"
)

// Callers says what those who call the port may do, and what they need for it.
func (p *Port) Callers(cfg *config.Config) string {
	conditions := []string{"callers may " + p.may()}
	if len(cfg.Access) > 0 {
		conditions = append(conditions, "as the access entries allow")
	}
	if with := p.withPassphrase(cfg); with != "" {
		conditions = append(conditions, with)
	}
	if len(p.Networks) > 0 {
		var from []string
		for _, n := range p.Networks {
			from = append(from, n.String())
		}
		conditions = append(conditions, "from "+strings.Join(from, " or "))
	}
	text := strings.Join(conditions, ", ")
	if p.Only {
		return text
	}
	return text + "; without a stream id it is " + string(p.Stream)
}

func (p *Port) may() string {
	what := "publish and play "
	if only := p.Mode.Only(); only != "" {
		what = string(only) + " "
	}
	if p.Only {
		return what + string(p.Stream) + " alone"
	}
	return what + "any stream"
}

// withPassphrase says which passphrase callers need.
func (p *Port) withPassphrase(cfg *config.Config) string {
	mode := p.Mode
	ofStreams := !p.Only && cfg.StreamPassphrases(mode)
	switch {
	case p.Passphrase != "" && !p.Options.Enforced():
		return "encrypted where they have the passphrase"
	case p.Passphrase != "" && ofStreams:
		return "with the passphrase of the stream, or of the port where the stream has none"
	case p.Passphrase != "":
		return "with the passphrase of the port"
	case ofStreams:
		return "with the passphrase of the stream where it has one"
	}
	return ""
}
