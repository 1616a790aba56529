//! Repositories made by somebody who wants the host to run their program or hand over its token.
