/** The completion script for bash 4 and later. */
import { flatten, type CommandNode, type ValueNode } from '../command-tree.ts'
import { descents, pathText, quoteSh, valueOptions } from './shell.ts'

const FILES = 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur")'
const DIRECTORIES = 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$cur")'

/** Returns a script that completes commands, options, paths and the values of options. */
export function bashCompletion(program: CommandNode): string {
  const nodes = flatten(program)
  return `# bash completion for service-fs, printed by: service-fs completion bash

_service_fs() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} path='' skip='' word i
  COMPREPLY=()
  # Bash splits --option=value at the equals sign.
  if [[ $cur == '=' ]]; then
    cur=''
  elif [[ $prev == '=' ]]; then
    prev=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  # Find the command; skip the options before it and their values.
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ -n $skip ]]; then
      [[ $word == '=' ]] || skip=''
      continue
    fi
    case "$path|$word" in
${arm(descents(nodes), 'path+="${path:+ }$word"')}
${arm(valueOptions(nodes), 'skip=1')}
    esac
  done
  if [[ -n $skip ]]; then
    case "$path|$prev" in
${valueArms(nodes).join('\n')}
    esac
  elif [[ $cur == -* ]]; then
    case "$path" in
${nodes
  .filter(({ options }) => options.length > 0)
  .map((node) => arm([pathText(node)], words(node.options.flatMap(({ names }) => names))))
  .join('\n')}
    esac
  else
    case "$path" in
${nodes.flatMap(operandArm).join('\n')}
    esac
  fi
}

complete -F _service_fs service-fs
`
}

/** Returns one arm of a case statement. */
function arm(patterns: readonly string[], command: string): string {
  return `      ${patterns.map(quoteSh).join(' | ')}) ${command} ;;`
}

function words(all: readonly string[]): string {
  return `mapfile -t COMPREPLY < <(compgen -W ${quoteSh(all.join(' '))} -- "$cur")`
}

function valueArms(nodes: readonly CommandNode[]): string[] {
  const arms: string[] = []
  for (const node of nodes)
    for (const { names, value } of node.options)
      if (value !== undefined && value.choices.length > 0)
        arms.push(
          arm(
            names.map((name) => `${pathText(node)}|${name}`),
            words(value.choices),
          ),
        )
  const ofKind = (kind: ValueNode['kind']): string[] => valueOptions(nodes, (value) => value.kind === kind)
  return [...arms, arm(ofKind('file'), FILES), arm(ofKind('directory'), DIRECTORIES)]
}

function operandArm(node: CommandNode): string[] {
  if (node.commands.length > 0)
    return [arm([pathText(node)], words(node.commands.map(({ path }) => path.at(-1) ?? '')))]
  const operand = node.operands[0]
  if (operand === undefined) return []
  if (operand.choices.length > 0) return [arm([pathText(node)], words(operand.choices))]
  if (operand.kind === 'text') return []
  return [arm([pathText(node)], operand.kind === 'file' ? FILES : DIRECTORIES)]
}
