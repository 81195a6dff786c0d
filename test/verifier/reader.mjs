/** Reading files and blocks of bytes piece by piece, without holding a whole file in memory. */
import { closeSync, openSync, readSync } from 'node:fs';
import { refuse } from './forms.mjs';

const CHUNK_BYTES = 1 << 20;

/** Reads lines and blocks of bytes in order. */
export class ByteReader {
  /**
   * Opens a file. It must be closed.
   * @param {string} path the file
   * @returns {ByteReader} a reader at its start
   */
  static open(path) {
    return new ByteReader(openSync(path, 'r'), Buffer.alloc(0));
  }

  /**
   * Reads from memory.
   * @param {Buffer} bytes the bytes
   * @returns {ByteReader} a reader at their start
   */
  static over(bytes) {
    return new ByteReader(null, bytes);
  }

  /**
   * Makes a reader; use open or over.
   * @param {number | null} file the file descriptor, null for none
   * @param {Buffer} bytes the bytes before those of the file
   */
  constructor(file, bytes) {
    this.file = file;
    this.bytes = bytes;
    this.at = 0;
    this.ended = file === null;
  }

  /** Closes the file. */
  close() {
    if (this.file !== null) closeSync(this.file);
    this.file = null;
    this.ended = true;
  }

  /** Reads the next piece of the file. */
  #more() {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    const count = readSync(this.file, chunk, 0, CHUNK_BYTES, null);
    if (count === 0) this.ended = true;
    this.bytes = Buffer.concat([this.bytes.subarray(this.at), chunk.subarray(0, count)]);
    this.at = 0;
  }

  /**
   * Tells whether everything was read.
   * @returns {boolean} whether nothing is left
   */
  atEnd() {
    while (!this.ended && this.at === this.bytes.length) this.#more();
    return this.at === this.bytes.length;
  }

  /**
   * Reads a line.
   * @param {number} maxBytes the greatest size without LF
   * @returns {Buffer | null} the line without its LF; null at the end
   */
  line(maxBytes) {
    if (this.atEnd()) return null;
    let end = this.bytes.indexOf(0x0a, this.at);
    while (end < 0) {
      if (this.bytes.length - this.at > maxBytes) refuse('LIMIT', `a line of more than ${maxBytes} bytes`);
      if (this.ended) refuse('TEXT', 'no LF at the end');
      const searched = this.bytes.length - this.at;
      this.#more();
      end = this.bytes.indexOf(0x0a, searched);
    }
    if (end - this.at > maxBytes) refuse('LIMIT', `a line of more than ${maxBytes} bytes`);
    const line = this.bytes.subarray(this.at, end);
    this.at = end + 1;
    return line;
  }

  /**
   * Reads a block.
   * @param {number} count its size in bytes
   * @returns {Buffer} exactly that many bytes
   */
  take(count) {
    while (!this.ended && this.bytes.length - this.at < count) this.#more();
    if (this.bytes.length - this.at < count) refuse('TEXT', 'ends too early');
    const block = this.bytes.subarray(this.at, this.at + count);
    this.at += count;
    return block;
  }
}
