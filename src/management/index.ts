/**
 * A client of OpenVPN's management interface, for OpenVPN 2.3 to 2.7. Knows no keys and nothing of the agent.
 *
 * @module
 */
export { formatManagementAddress, type ManagementAddress, parseManagementAddress } from './address.ts';
export type { DaemonSignal } from './agent-commands.ts';
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
} from './challenge.ts';
export { connectManagement, ManagementClient } from './client.ts';
export type { CommandOptions } from './command-queue.ts';
export { approach, checkOwnerIsKnowable, type DaemonOwner } from './daemon-owner.ts';
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
} from './history.ts';
export { encodeInfoMessage, type InfoMessage, parseInfoMessage, type WebAuthProxy } from './info-message.ts';
export {
  type DecodedLine,
  LINE_CUT,
  LINE_CUT_BEFORE_2_6,
  LineDecoder,
  type LineDecoderOptions,
} from './line-decoder.ts';
export { type ListenOptions, listenManagement, type ManagementListener } from './listener.ts';
export { encodeNotification, hasEnvironment, parseNotification } from './notification.ts';
export { type AssembledNotification, NotificationAssembler } from './notification-assembler.ts';
export type { NotificationListener } from './notification-hub.ts';
export type {
  ClientAuthNotification,
  ClientNotification,
  ClientSessionNotification,
  Environment,
  Notification,
  NotificationOf,
  NotificationType,
  SignNotification,
} from './notification-types.ts';
export type { CloseReason, DaemonVersion, ManagementOptions } from './options.ts';
export { dynamicChallengeOf, type PasswordNotification } from './password-notification.ts';
export { type Reply, ReplyCollector } from './reply.ts';
export { type CommandEntry, COMMANDS, commandOf, type ReplyPart, type ReplyShape, replyShape } from './reply-shape.ts';
export type { ProxyChoice, RemoteEntry } from './question-commands.ts';
export type { AuthRetry, HistoryOptions, LoadStats } from './session-commands.ts';
export { type DaemonStatus, parseStatus, type StatusClient, type StatusRoute } from './status.ts';
export { parseReply } from './parsed-reply.ts';
export { whoReaches, whoReplaces } from './reach.ts';
export type { OnRejected } from './rejections.ts';
export { Relay, type RelayEvent, type RelayOptions } from './relay/relay.ts';
export { RELAY_RIGHTS, type RelayRights } from './relay/rights.ts';
export { AgentError, type AgentErrorCode, errorCode } from '../errors.ts';
export { Secret } from '../secret.ts';
