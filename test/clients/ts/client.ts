// Uses a client of openapi-fetch with the types that openapi-typescript makes: node client.js URL
// It prints what it saw, in JSON.
import createClient from 'openapi-fetch'
import type { components, paths } from './schema.js'

const client = createClient<paths>({ baseUrl: process.argv[2]! })

// must returns the data of an answer that was no error.
function must<T>({ data, error }: { data?: T; error?: unknown }): T {
  if (data === undefined) throw new Error(JSON.stringify(error))
  return data
}

const info = must(await client.GET('/api/v1/info'))
const streams = must(await client.GET('/api/v1/streams', { params: { query: { limit: 10 } } }))
const stream: components['schemas']['Stream'] = must(await client.GET('/api/v1/streams/{name}', { params: { path: { name: 'live' } } }))
const connections = must(await client.GET('/api/v1/connections', { params: { query: { stream: 'live', role: 'publish' } } }))
const history = must(await client.GET('/api/v1/streams/{name}/history', { params: { path: { name: 'live' }, query: { resolution: '1s' } } }))
const rtt: (number | null)[] = history.rtt_ms

// The types of events are a list, which this client repeats: types=a&types=b.
const events = must(await client.GET('/api/v1/events', { params: { query: { types: ['stream.live', 'stream.removed'], stream: 'live' } }, parseAs: 'stream' }))
const first = await events?.getReader().read()
const unknown = await client.GET('/api/v1/events', { params: { query: { types: ['stream.live', 'nonsense' as 'stream.live'] } } })

const other = { params: { path: { name: 'other' } } }
const locked = await client.PUT('/api/v1/streams/{name}/lock', other)
const unlocked = await client.DELETE('/api/v1/streams/{name}/lock', other)
const pushed = must(await client.POST('/api/v1/pushes', { body: { stream: 'idle', url: 'srt://127.0.0.1:9?passphrase=a%20long%20secret' } }))
const pushEnded = await client.DELETE('/api/v1/pushes/{id}', { params: { path: { id: pushed.id } } })
const gone = await client.GET('/api/v1/streams/{name}', { params: { path: { name: 'none' } } })

console.log(
  JSON.stringify({
    processes: info.processes.map((p) => p.role).filter((r) => r !== 'srt-idle'),
    streams: streams.items.map((s) => s.name),
    codecs: stream.tracks.map((t) => t.codec),
    programs: stream.programs.map((p) => p.streams),
    feeds: connections.items.map((c) => c.feeds),
    columns: [history.time.length > 0, rtt.length === history.time.length],
    retry: new TextDecoder().decode(first?.value).split('\n')[0],
    unknownType: unknown.response.status,
    lock: [locked.response.status, unlocked.response.status],
    push: pushed.url,
    pushEnded: pushEnded.response.status,
    missing: gone.error?.detail,
  }),
)
process.exit() // the stream of events goes on
