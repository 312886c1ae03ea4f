/** The only bridge between the page and the main process. The page has no Node. */
const { contextBridge, ipcRenderer } = require('electron')

contextBridge.exposeInMainWorld('digits', {
  start: () => ipcRenderer.invoke('start'),
  stop: () => ipcRenderer.invoke('stop'),
  classify: (pixels) => ipcRenderer.invoke('classify', pixels),
  onProgress: (listener) => void ipcRenderer.on('progress', (_, event) => listener(event)),
})
