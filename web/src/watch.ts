import './style.css'

const form = document.querySelector<HTMLFormElement>('#go')!
form.addEventListener('submit', (event) => {
  event.preventDefault()
  const name = form.querySelector<HTMLInputElement>('#stream')!.value.trim()
  location.href = `/${encodeURIComponent(name)}.html`
})
