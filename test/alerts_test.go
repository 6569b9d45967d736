package test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// docsBlocks returns the blocks of code in a language that the pages of docs have.
func docsBlocks(t *testing.T, language string) []string {
	t.Helper()
	pages, err := filepath.Glob("../docs/*.md")
	require.NoError(t, err)
	var blocks []string
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
			blocks = append(blocks, m[1])
		}
	}
	return blocks
}

// TestAlertsOfTheDocs lets promtool run every rule and query of the docs: each alert is raised by what it is for, with
// labels that say whose fault it is, and not before.
func TestAlertsOfTheDocs(t *testing.T) {
	t.Parallel()
	var rules strings.Builder
	rules.WriteString("groups:\n")
	for _, block := range docsBlocks(t, "yaml") {
		if groups, ok := strings.CutPrefix(block, "groups:\n"); ok {
			rules.WriteString(groups)
		}
	}
	queries := docsBlocks(t, "promql")
	require.Len(t, queries, 1)
	query, err := json.Marshal(strings.Join(strings.Fields(queries[0]), " "))
	require.NoError(t, err)
	cases, err := os.ReadFile("testdata/alerts.yml")
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(cases), "QUERY"))

	alerts := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(rules.String(), -1)
	require.Len(t, alerts, strings.Count(strings.Join(docsBlocks(t, "yaml"), ""), "alert:"), "each block of rules begins with groups, so that it can be used as it is")
	require.Len(t, alerts, 8)
	for _, alert := range alerts {
		require.Regexp(t, `alertname: `+alert[1]+`\b.*\n?.*\n?.*exp_alerts: \[\{`, string(cases), "the alert has no case")
	}

	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	run(t, time.Minute, "promtool", "check", "rules", "--lint-fatal", write("rules.yml", rules.String()))
	run(t, time.Minute, "promtool", "test", "rules", write("cases.yml", strings.Replace(string(cases), "QUERY", string(query), 1)))
}
