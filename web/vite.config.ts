import { defineConfig } from 'vite'

// Three pages: the player and the page at / of the viewers' port, and the front page of the API port.
export default defineConfig({
  build: {
    target: 'es2020',
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 800,
    rollupOptions: { input: ['index.html', 'player.html', 'watch.html'] },
  },
})
