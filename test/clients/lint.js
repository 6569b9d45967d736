// Judges an OpenAPI document by the recommended rules of redocly and of spectral: node lint.js FILE
import { readFileSync } from 'node:fs'
import { createConfig, lintFromString } from '@redocly/openapi-core'
import spectral from '@stoplight/spectral-core'
import rulesets from '@stoplight/spectral-rulesets'

const text = readFileSync(process.argv[2], 'utf8')
const found = []

const config = await createConfig({ extends: ['recommended'] })
for (const p of await lintFromString({ source: text, absoluteRef: process.argv[2], config })) {
  found.push(`redocly ${p.severity} ${p.ruleId}: ${p.message} ${p.location[0]?.pointer ?? ''}`)
}

const judge = new spectral.Spectral()
judge.setRuleset({ extends: [[rulesets.oas, 'recommended']] })
for (const p of await judge.run(text)) {
  found.push(`spectral ${p.severity} ${p.code}: ${p.message} ${p.path.join('/')}`)
}

console.log(found.join('\n'))
process.exitCode = found.length > 0 ? 1 : 0
