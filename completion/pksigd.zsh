#compdef pksigd
_pksigd() {
  local line files word=${(Q)words[CURRENT]}
  local -a texts abouts
  for line in "${(@f)$("${(Q)words[1]}" completion zsh -- "${(@Q)words[2,CURRENT-1]}" "${word#[\'\"]}" 2>/dev/null)}"; do
    if [[ -z $files ]]; then
      files=$line
      continue
    fi
    texts+=("${line%%$'\t'*}")
    abouts+=("${line%%$'\t'*}  ${line#*$'\t'}")
  done
  local -a ends
  ends=("${(@M)texts:#*:}")
  (( $#texts )) && compadd -l -d abouts ${ends:+-S ''} -a texts
  if [[ $files == files ]]; then
    [[ $PREFIX == --*=* ]] && compset -P '*='
    _files
  fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _pksigd "$@"; else compdef _pksigd pksigd; fi
