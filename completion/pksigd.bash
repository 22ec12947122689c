# bash completion for pksigd
_pksigd() {
  local rest=${COMP_LINE:0:COMP_POINT} word words=() i cur part reply files
  # readline parts words at colons and equals signs, which stand in URIs
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $i -gt 0 && $rest != [[:space:]]* ]]; then words[${#words[@]} - 1]+=$word; else words+=("$word"); fi
    rest=${rest#"${rest%%[![:space:]]*}"}
    rest=${rest#"$word"}
  done
  cur=${words[${#words[@]} - 1]}
  # what of the word readline leaves as it is
  part=${COMP_WORDS[COMP_CWORD]}
  if [[ $part == [:=] ]]; then part=$cur; else part=${cur%"$part"}; fi
  word=${cur#"$part"}
  part=${part//\\/}
  for i in "${!words[@]}"; do words[i]=${words[i]//[\\\'\"]/}; done
  COMPREPLY=()
  while IFS=$'\t' read -r reply _; do
    if [[ -z $files ]]; then
      files=$reply
      continue
    fi
    [[ $reply == *: ]] && compopt -o nospace
    COMPREPLY+=("${reply#"$part"}")
  done < <("${COMP_WORDS[0]}" completion bash -- "${words[@]:1}" 2>/dev/null)
  # quotes what a shell would take for its own
  compopt -o filenames
  if [[ $files == files && $part != *:* ]]; then
    while read -r reply; do COMPREPLY+=("$reply"); done < <(compgen -f -- "${word#[\'\"]}")
  fi
}
complete -F _pksigd pksigd
