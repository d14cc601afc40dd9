import type { ServerResponse } from 'node:http';

/**
 * What is left of an answer that was given must be taken within `writeTimeout` (milliseconds). One behind another on its connection has no socket
 * before that one is taken.
 */
export function limitUnread(response: ServerResponse, writeTimeout: number): void {
  const { socket } = response;
  if (socket === null) response.once('prefinish', () => response.socket?.setTimeout(writeTimeout));
  else if (socket.writableLength > 0) socket.setTimeout(writeTimeout);
}
