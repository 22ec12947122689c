// For Stryker: texts of errors are left as they are. They are for people, and tests go by codes and reasons.
import { declareValuePlugin, PluginKind } from '@stryker-mutator/api/plugin';

const isText = (path) => path.isStringLiteral() || path.isTemplateLiteral();
const isOfError = ({ parentPath: parent }) =>
  (parent?.isNewExpression() || parent?.isCallExpression()) &&
  /Error$|^refuse$|^Unfit$|^unfit$/.test(parent.node.callee.name ?? '');
const isHint = ({ parentPath: parent }) =>
  parent?.isObjectProperty() && ['hint', 'what'].includes(parent.node.key.name ?? '');
const isNamed = ({ parentPath: parent }) =>
  parent?.isVariableDeclarator() && ['text', 'hint', 'message'].includes(parent.node.id.name ?? '');

export const strykerPlugins = [
  declareValuePlugin(PluginKind.Ignore, 'error-texts', {
    shouldIgnore(path) {
      if (isText(path) && (isOfError(path) || isHint(path) || isNamed(path))) return 'the text of an error';
      return undefined;
    },
  }),
];
