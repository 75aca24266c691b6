/** Photos: the original is kept as it is, with a small copy for the screen. */
import { newId } from '@/api/id'
import { copyEdge, type Photo } from './model'

/** Width and height of the copy. */
export function fit(width: number, height: number, edge = copyEdge): [width: number, height: number] {
  const scale = Math.min(1, edge / Math.max(width, height, 1))
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))]
}

/** A JPEG of at most {@link copyEdge} pixels; none of what the browser cannot read (PDF, video, HEIC). */
async function copyOf(file: Blob): Promise<Blob | undefined> {
  if (!file.type.startsWith('image/')) return undefined
  try {
    const full = await createImageBitmap(file, { imageOrientation: 'from-image' })
    const [width, height] = fit(full.width, full.height)
    const canvas = document.createElement('canvas')
    canvas.width = width
    canvas.height = height
    canvas.getContext('2d')?.drawImage(full, 0, 0, width, height)
    full.close()
    const copy = await new Promise<Blob | null>((done) => canvas.toBlob(done, 'image/jpeg', 0.8))
    return copy ?? undefined
  } catch {
    return undefined // too large for this phone, or broken: the original goes as it is
  }
}

/** Largest file the server takes, bytes. */
export const largestBytes = 200 * 2 ** 20

export async function takeIn(file: File): Promise<Photo> {
  return {
    id: newId(),
    name: file.name || `${Date.now()}.jpg`,
    type: file.type || 'application/octet-stream',
    bytes: file.size,
    takenAt: Date.now(),
    original: file,
    copy: await copyOf(file),
  }
}

/** Without its original, where the phone has no room for that. */
export function lighter(photo: Photo): Photo | undefined {
  if (!photo.copy) return undefined
  const name = photo.name.replace(/\.[^.]*$/, '') + '.jpg'
  return { ...photo, name, type: 'image/jpeg', bytes: photo.copy.size, original: undefined }
}
