/** What can be learned of a stream without playing it. */
export type Presence = 'live' | 'absent' | 'unreachable'

async function text(url: string): Promise<{ status: number; body: string }> {
  const response = await fetch(url, { cache: 'no-store', signal: AbortSignal.timeout(8000) })
  return { status: response.status, body: await response.text() }
}

/** Asks whether the stream can be played now. One whose playlist has ended can't. */
export async function presence(playlist: string): Promise<Presence> {
  try {
    const master = await text(playlist)
    if (master.status !== 200) return 'absent'
    const uri = master.body.split('\n').find((line) => line !== '' && !line.startsWith('#'))
    if (!uri) return 'absent'
    const media = await text(new URL(uri, new URL(playlist, location.href)).href)
    return media.status === 200 && !media.body.includes('#EXT-X-ENDLIST') ? 'live' : 'absent'
  } catch {
    return 'unreachable'
  }
}
