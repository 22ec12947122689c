/**
 * A client of OpenVPN's management interface, for OpenVPN 2.3 to 2.7. Knows no keys and nothing of the agent.
 *
 * @module
 */
export { formatManagementAddress, type ManagementAddress, parseManagementAddress } from './sockets/address.ts';
export type { DaemonSignal } from './client/signing-commands.ts';
export {
  challengeTextResponse,
  concatenatedResponse,
  type DynamicChallenge,
  dynamicChallengeResponse,
  encodeDynamicChallenge,
  encodeStaticChallenge,
  parseDynamicChallenge,
  parseStaticChallenge,
  type StaticChallenge,
  staticChallengeResponse,
} from './notifications/challenge.ts';
export { connectManagement, ManagementClient } from './client/client.ts';
export type { CommandOptions, ExchangeOptions } from './connection/command-queue.ts';
export type { DaemonOwner } from './sockets/daemon-owner.ts';
export {
  commandLine,
  MAX_LINE,
  MAX_PARAMETER,
  parseLine,
  quoteParameter,
  quoteWord,
  readWords,
  type UnreadableLine,
} from './wire/words.ts';
export {
  authPendingTimeout,
  type EchoEntry,
  encodeEchoEntry,
  encodeLogEntry,
  encodeStateEntry,
  type LogEntry,
  parseEchoEntry,
  parseLogEntry,
  parseStateEntry,
  type StateEntry,
} from './notifications/entries.ts';
export {
  encodeInfoMessage,
  type InfoMessage,
  parseInfoMessage,
  type WebAuthProxy,
} from './notifications/info-message.ts';
export {
  type DecodedLine,
  LINE_CUT,
  LINE_CUT_BEFORE_2_6,
  LineDecoder,
  type LineDecoderOptions,
  type LineSink,
} from './wire/line-decoder.ts';
export { type ListenOptions, listenManagement, type ManagementListener } from './client/listener.ts';
export { encodeNotification, hasEnvironment, parseNotification } from './notifications/notification.ts';
export { type AssembledNotification, NotificationAssembler } from './notifications/assembler.ts';
export type { NotificationListener } from './connection/notification-hub.ts';
export type {
  ClientAuthNotification,
  ClientNotification,
  ClientSessionNotification,
  Environment,
  Notification,
  NotificationOf,
  NotificationType,
  SignNotification,
} from './notifications/types.ts';
export type { CloseReason, DaemonVersion, ManagementOptions } from './connection/options.ts';
export { dynamicChallengeOf, type PasswordNotification } from './notifications/password.ts';
export { type Reply, ReplyCollector } from './commands/reply.ts';
export type { ReplyPart, ReplyShape } from './commands/shape.ts';
export {
  type CommandEntry,
  COMMANDS,
  commandOf,
  parseReply,
  RELAY_RIGHTS,
  type RelayRights,
  replyShape,
} from './commands/table.ts';
export type { RemoteEntry } from './commands/read-reply.ts';
export type { ProxyChoice } from './client/question-commands.ts';
export type { AuthRetry, HistoryOptions, LoadStats } from './client/daemon-commands.ts';
export { type DaemonStatus, parseStatus, type StatusClient, type StatusRoute } from './commands/status.ts';
export type { OnRejected } from './sockets/rejections.ts';
export { Relay, type RelayEvent, type RelayOptions } from './relay/relay.ts';
export { AgentError, type AgentErrorCode, errorCode } from '../errors.ts';
export { Secret } from '../secret.ts';
