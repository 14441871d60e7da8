#!@shell@
# -idirafter, because the C++ headers reach the C library's by #include_next.
cInclude=1 link=1
for argument in "$@"; do
  case $argument in
    -c | -S | -E | -M | -MM | -fsyntax-only) link= ;;
    -nostdinc) cInclude= ;;
  esac
done
before=(-B@out@/bin/)
after=()
if [ -n "$cInclude" ]; then
  after+=(-idirafter @glibcDev@/include)
  for dir in @glibcDev@/include/*-linux-gnu; do after+=(-idirafter "$dir"); done
fi
if [ -n "$link" ] && [ $# -gt 0 ]; then
  before+=(-B@glibcDev@/lib/)
fi
after+=(${NIX_CFLAGS_COMPILE:-})
if [ -n "$link" ]; then after+=(${NIX_CFLAGS_LINK:-}); fi
if [ -n "@cxx@" ]; then after+=(${NIX_CXXFLAGS_COMPILE:-}); fi
# Nothing but questions about the compiler itself: added inputs would change the answers.
case "$*" in
  --version | -v | -dumpversion | -dumpfullversion | -dumpmachine | '') exec @program@ "$@" ;;
esac
exec @program@ "${before[@]}" "$@" "${after[@]}"
