/** Array buffers that can be resized, which the types of our oldest Node do not know. */

export interface Resizable extends ArrayBuffer {
  resize(bytes: number): void
}

export function resizableBuffer(bytes: number, most: number): Resizable {
  const Constructor = ArrayBuffer as unknown as new (bytes: number, options: { maxByteLength: number }) => Resizable
  return new Constructor(bytes, { maxByteLength: most })
}

/** Takes a buffer's memory away. */
export function detach(buffer: ArrayBuffer): void {
  structuredClone(buffer, { transfer: [buffer] })
}
