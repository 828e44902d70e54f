/** One tenant's way to PSDB: its data region and its two queues of messages. */
export interface PsdbPort {
  readonly regionBytes: number
  /**
   * Put bytes into the data region, for the request that is sent next. A port may refer to the bytes instead of copying them: they do not
   * change until that request is answered. Several calls for one request put pieces that follow each other.
   */
  put(offset: number, bytes: Uint8Array): void
  /** Returns a copy of bytes in the data region. The bytes of an answer are valid while received() runs for that answer. */
  get(offset: number, length: number): Uint8Array
  /**
   * Send a message of 64 bytes. The client ensures that at most QUEUE are unanswered. send() does not throw, and may pass on several
   * messages together.
   */
  send(message: Uint8Array): void
}
