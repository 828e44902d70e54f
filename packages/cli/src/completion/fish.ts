/** The completion script for fish 3 and later. */
import { flatten, type CommandNode, type OptionNode } from '../command-tree.ts'
import { descents, pathText, valueOptions } from './shell.ts'

/** Returns a script that completes commands, options, paths and the values of options, with descriptions. */
export function fishCompletion(program: CommandNode): string {
  const nodes = flatten(program)
  return `# fish completion for service-fs, printed by: service-fs completion fish

function __service_fs_command --description 'Prints the command on the line, without options and their values'
  set -l path
  set -l skip 0
  set -l words (commandline -opc)
  set -e words[1]
  for word in $words
    if test $skip = 1
      set skip 0
      continue
    end
    switch "$path|$word"
      case ${descents(nodes).map(quote).join(' ')}
        set path $path $word
      case ${valueOptions(nodes).map(quote).join(' ')}
        set skip 1
    end
  end
  echo "$path"
end

function __service_fs_at --description 'Reports whether a command is the one on the line'
  test (__service_fs_command) = "$argv[1]"
end

complete -c service-fs -f
${nodes.flatMap(lines).join('\n')}
`
}

/** Quotes a word for fish. Within single quotes, fish has two escapes. */
function quote(text: string): string {
  return `'${text.replaceAll(/[\\']/g, String.raw`\$&`)}'`
}

function lines(node: CommandNode): string[] {
  const complete = `complete -c service-fs -n ${quote(`__service_fs_at ${quote(pathText(node))}`)}`
  const commands = node.commands.map(
    ({ path, description }) => `${complete} -a ${path.at(-1)} -d ${quote(description)}`,
  )
  const [operand] = node.operands
  const options = node.options.map((option) => `${complete} ${optionFlags(option)}`)
  if (operand === undefined) return [...commands, ...options]
  if (operand.choices.length > 0) return [...options, `${complete} -a ${quote(operand.choices.join(' '))}`]
  if (operand.kind === 'file') return [...options, `${complete} -F`]
  if (operand.kind === 'directory') return [...options, `${complete} -a '(__fish_complete_directories)'`]
  return options
}

function optionFlags({ names, description, value }: OptionNode): string {
  const flags = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`))
  return `${flags.join(' ')}${valueFlags(value)} -d ${quote(description)}`
}

function valueFlags(value: OptionNode['value']): string {
  if (value === undefined) return ''
  if (value.choices.length > 0) return ` -x -a ${quote(value.choices.join(' '))}`
  if (value.kind === 'file') return ' -r -F'
  return value.kind === 'directory' ? " -x -a '(__fish_complete_directories)'" : ' -x'
}
