// Reads the clock in the picture: rows of blocks that are a number in binary, least significant bit first, and below them its complement.
// clockReadings collects [time of the browser's clock in ms, number] for the pictures as they are shown.
;(() => {
  const video = document.querySelector('video')
  const canvas = document.createElement('canvas')
  const context = canvas.getContext('2d', { willReadFrequently: true })
  window.clockReadings = []
  const read = () => {
    const { bits, block } = clockLayout
    canvas.width = bits * block
    canvas.height = 2 * block
    context.drawImage(video, 0, 0)
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height)
    const bit = (k, row) => data[4 * ((row + 0.5) * block * canvas.width + (k + 0.5) * block) | 0] > 127
    let number = 0
    for (let k = 0; k < bits; k++) {
      if (bit(k, 0) === bit(k, 1)) return undefined
      if (bit(k, 0)) number += 2 ** k
    }
    return number
  }
  const shown = (now) => {
    const at = performance.timeOrigin + now
    const number = read()
    if (number !== undefined) window.clockReadings.push([at, number])
    video.requestVideoFrameCallback(shown)
  }
  video.requestVideoFrameCallback(shown)
})()
