/** The window: a loss curve, a sheet to draw on, what the network reads. Talks to the main process through `window.digits` alone. */
const { digits } = window
const element = (id) => document.getElementById(id)

// ---- training -------------------------------------------------------------------------------------------------------------------------

const curve = []
let training = false

function drawCurve() {
  const canvas = element('curve')
  const pen = canvas.getContext('2d')
  const { width, height } = canvas
  pen.clearRect(0, 0, width, height)
  if (curve.length < 2) return
  const last = curve.at(-1).step
  const top = Math.max(...curve.map((point) => point.loss))
  pen.strokeStyle = getComputedStyle(canvas).color
  pen.lineWidth = 1.5
  pen.beginPath()
  for (const { step, loss } of curve) pen.lineTo(10 + (step / last) * (width - 20), 10 + (1 - loss / top) * (height - 20))
  pen.stroke()
}

digits.onProgress((event) => {
  if (event.done) {
    training = false
    element('train').textContent = 'Train'
    element('state').textContent += `, ${event.reason}`
    return
  }
  curve.push(event)
  element('state').textContent = `step ${event.step}, loss ${event.loss.toFixed(3)}`
  drawCurve()
  ask()
})

element('train').addEventListener('click', () => {
  training = !training
  element('train').textContent = training ? 'Stop' : 'Train'
  if (!training) return digits.stop()
  curve.length = 0
  digits.start()
})

// ---- drawing --------------------------------------------------------------------------------------------------------------------------

const paper = element('paper')
const ink = paper.getContext('2d', { willReadFrequently: true })
const side = 28
let strokes = 0

function clear() {
  ink.fillStyle = '#000'
  ink.fillRect(0, 0, paper.width, paper.height)
  strokes = 0
  element('answer').textContent = '–'
  show(new Array(10).fill(0))
}

paper.addEventListener('pointerdown', (event) => {
  paper.setPointerCapture(event.pointerId)
  ink.beginPath()
  ink.moveTo(event.offsetX, event.offsetY)
})
paper.addEventListener('pointermove', (event) => {
  if (event.buttons === 0) return
  ink.strokeStyle = '#fff'
  ink.lineWidth = 22
  ink.lineCap = ink.lineJoin = 'round'
  ink.lineTo(event.offsetX, event.offsetY)
  ink.stroke()
  strokes++
})
paper.addEventListener('pointerup', () => ask())
element('clear').addEventListener('click', clear)

/** The sheet in 28 × 28 numbers: each the mean of its square. */
function pixels() {
  const { data, width } = ink.getImageData(0, 0, paper.width, paper.height)
  const scale = paper.width / side
  return Array.from({ length: side * side }, (_, i) => {
    let sum = 0
    for (let y = 0; y < scale; y++)
      for (let x = 0; x < scale; x++) sum += data[4 * ((Math.floor(i / side) * scale + y) * width + (i % side) * scale + x)]
    return sum / (255 * scale * scale)
  })
}

async function ask() {
  if (strokes === 0) return
  const answer = await digits.classify(pixels())
  element('answer').textContent = String(answer.indexOf(Math.max(...answer)))
  show(answer)
}

function show(answer) {
  element('bars').replaceChildren(
    ...answer.map((p, digit) => {
      const row = document.createElement('li')
      const bar = document.createElement('i')
      bar.style.height = `${Math.round(p * 48)}px`
      row.append(bar, String(digit))
      return row
    }),
  )
}

clear()
