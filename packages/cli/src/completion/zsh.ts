/** The completion script for zsh. */
import { flatten, type CommandNode, type OptionNode, type ValueNode } from '../command-tree.ts'
import { quoteSh } from './shell.ts'

/** Returns a script that completes commands, options, paths and the values of options, with descriptions. */
export function zshCompletion(program: CommandNode): string {
  const functions = flatten(program).map((node) => (node.commands.length > 0 ? group(node) : leaf(node)))
  return `#compdef service-fs
# zsh completion for service-fs, printed by: service-fs completion zsh

${functions.join('\n')}
# As a file of $fpath, complete at once; when sourced, register.
if [[ $funcstack[1] == _service-fs ]]; then
  _service-fs "$@"
else
  compdef _service-fs service-fs
fi
`
}

function nameOf(path: readonly string[]): string {
  return ['_service-fs', ...path].join('_')
}

/**
 * Returns the function of a command that has subcommands: it completes their names, and passes the rest of the line to the named
 * subcommand.
 */
function group(node: CommandNode): string {
  const described = node.commands.map(({ path, description }) =>
    quoteSh(`${path.at(-1)}:${description.replaceAll(':', String.raw`\:`)}`),
  )
  const arms = node.commands.map(({ path }) => `        ${path.at(-1)}) ${nameOf(path)} ;;`)
  return `${nameOf(node.path)}() {
  local curcontext="$curcontext" state line
  local -a commands=(
    ${described.join('\n    ')}
  )
  _arguments -C \\
${specs(node.options)}    '1: :->command' \\
    '*:: :->arguments'
  case $state in
    command) _describe -t commands command commands ;;
    arguments)
      case $line[1] in
${arms.join('\n')}
      esac
      ;;
  esac
}
`
}

function leaf(node: CommandNode): string {
  const operands = node.operands.map(
    (operand, i) =>
      `    ${quoteSh(`${operand.variadic ? '*' : `${i + 1}`}:${operand.required ? '' : ':'}${operand.name}:${action(operand)}`)} \\\n`,
  )
  return `${nameOf(node.path)}() {
  _arguments -s -S \\
${specs(node.options)}${operands.join('')}    && return
}
`
}

function specs(options: readonly OptionNode[]): string {
  return options.map((option) => `    ${spec(option)} \\\n`).join('')
}

/** Returns one option in the form of _arguments: '(-h --help)'{-h,--help}'[description]:value:action'. */
function spec({ names, description, value, isRepeatable }: OptionNode): string {
  const text = `[${escaped(description)}]${value === undefined ? '' : `:${value.name}:${action(value)}`}`
  const long = (name: string): string => (value !== undefined && name.startsWith('--') ? `${name}=` : name)
  const [only, ...others] = names
  if (others.length === 0) return quoteSh(`${isRepeatable ? '*' : ''}${long(only ?? '')}${text}`)
  return `'(${names.join(' ')})'{${names.map(long).join(',')}}${quoteSh(text)}`
}

/** Escapes the special characters of _arguments. */
function escaped(text: string): string {
  return text.replaceAll(/[\\[\]:]/g, String.raw`\$&`)
}

function action({ choices, kind }: ValueNode): string {
  if (choices.length > 0) return `(${choices.join(' ')})`
  if (kind === 'text') return ' '
  return kind === 'file' ? '_files' : '_files -/'
}
