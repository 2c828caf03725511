; The installer: program, settings from both databases, service. `make windows-installer` builds it (docs/windows.md).
;
; Without a window, for many offices: set TANDEM_DESKTOP_URL, TANDEM_DESKTOP_PASSWORD, TANDEM_CLOUD_URL and TANDEM_CLOUD_PASSWORD, then
;   tandem-0.1.0-setup.exe /S [/NOSTART] [/D=folder, last and without quotes]
; Exit codes: 0 fine, 2 the settings could not be made, 3 the service could not be installed, 4 installed, but something needs a person.

Unicode true
Target amd64-unicode
SetCompressor /SOLID lzma

!include FileFunc.nsh
!include LogicLib.nsh
!include nsDialogs.nsh

Name "tandem ${VERSION}"
OutFile "${OUT}"
InstallDir "$PROGRAMFILES64\tandem"
RequestExecutionLevel admin
ShowInstDetails show
ShowUninstDetails show
BrandingText "tandem ${VERSION}"

VIProductVersion "${VERSION}.0"
VIAddVersionKey ProductName "tandem"
VIAddVersionKey ProductVersion "${VERSION}"
VIAddVersionKey FileVersion "${VERSION}"
VIAddVersionKey FileDescription "Installs tandem"
VIAddVersionKey LegalCopyright "MIT OR Apache-2.0"

!define GONE "Software\Microsoft\Windows\CurrentVersion\Uninstall\tandem"

Var Data             ; the service's folder
Var Fresh            ; 1: there are no settings yet
Var DesktopUrl
Var DesktopPassword
Var CloudUrl
Var CloudPassword
Var NoStart
Var New              ; where the settings are made
Var Code             ; of the program that ran last
Var Needs            ; what a person has to look at
Var DesktopField
Var DesktopPasswordField
Var CloudField
Var CloudPasswordField

Page directory
Page custom Ask Asked
Page instfiles
UninstPage uninstConfirm
UninstPage instfiles

Function .onInit
    SetShellVarContext all
    SetRegView 64
    StrCpy $Data "$APPDATA\tandem"
    ${If} ${FileExists} "$Data\tandem.toml"
        StrCpy $Fresh 0
    ${Else}
        StrCpy $Fresh 1
    ${EndIf}
    ${GetParameters} $R0
    ClearErrors
    ${GetOptions} $R0 "/NOSTART" $R1
    ${IfNot} ${Errors}
        StrCpy $NoStart 1
    ${EndIf}
    ReadEnvStr $DesktopUrl TANDEM_DESKTOP_URL
    ReadEnvStr $CloudUrl TANDEM_CLOUD_URL
    ReadEnvStr $DesktopPassword TANDEM_DESKTOP_PASSWORD
    ReadEnvStr $CloudPassword TANDEM_CLOUD_PASSWORD
    ; The program must not find them in its environment: the service won't either.
    System::Call 'kernel32::SetEnvironmentVariable(t "TANDEM_DESKTOP_URL", p 0)'
    System::Call 'kernel32::SetEnvironmentVariable(t "TANDEM_CLOUD_URL", p 0)'
    System::Call 'kernel32::SetEnvironmentVariable(t "TANDEM_DESKTOP_PASSWORD", p 0)'
    System::Call 'kernel32::SetEnvironmentVariable(t "TANDEM_CLOUD_PASSWORD", p 0)'
FunctionEnd

; ---- what is asked ----

Function Ask
    ${If} $Fresh = 0
        Abort ; an update: the settings stay as they are
    ${EndIf}
    nsDialogs::Create 1018
    Pop $0
    ${NSD_CreateLabel} 0 0 100% 20u "Where are the two databases? Passwords are kept in a file that only administrators and the service can read. Leave one empty if the address needs none."
    Pop $0
    ${NSD_CreateLabel} 0 26u 100% 10u "The office's database, such as postgres://postgres@localhost:5432/office"
    Pop $0
    ${NSD_CreateText} 0 37u 100% 12u "$DesktopUrl"
    Pop $DesktopField
    ${NSD_CreateLabel} 0 54u 25% 10u "Its password"
    Pop $0
    ${NSD_CreatePassword} 25% 52u 75% 12u "$DesktopPassword"
    Pop $DesktopPasswordField
    ${NSD_CreateLabel} 0 74u 100% 10u "The cloud's, from Supabase's dashboard under Connect (add ?sslmode=require)"
    Pop $0
    ${NSD_CreateText} 0 85u 100% 12u "$CloudUrl"
    Pop $CloudField
    ${NSD_CreateLabel} 0 102u 25% 10u "Its password"
    Pop $0
    ${NSD_CreatePassword} 25% 100u 75% 12u "$CloudPassword"
    Pop $CloudPasswordField
    nsDialogs::Show
FunctionEnd

Function Asked
    ${NSD_GetText} $DesktopField $DesktopUrl
    ${NSD_GetText} $DesktopPasswordField $DesktopPassword
    ${NSD_GetText} $CloudField $CloudUrl
    ${NSD_GetText} $CloudPasswordField $CloudPassword
    ${If} $DesktopUrl == ""
    ${OrIf} $CloudUrl == ""
        MessageBox MB_OK|MB_ICONEXCLAMATION "Both addresses are needed."
        Abort
    ${EndIf}
    StrCpy $R0 $DesktopUrl
    Call HasPassword
    StrCpy $R2 $R1
    StrCpy $R0 $CloudUrl
    Call HasPassword
    ${If} $R1 = 1
    ${OrIf} $R2 = 1
        MessageBox MB_OK|MB_ICONEXCLAMATION "An address has a password in it. Move it into the field below, where it is not shown."
        Abort
    ${EndIf}
FunctionEnd

; ---- what is done ----

; Runs tandem with arguments: its words go to the details and to setup.log, its exit code to $Code.
!macro Tandem arguments
    Push '${arguments}'
    Call Tandem
!macroend

Function Tandem
    Pop $R0
    DetailPrint "> tandem $R0"
    ; cmd takes the outer quotes away; both streams go to a file, which is shown behind.
    nsExec::Exec '"$SYSDIR\cmd.exe" /d /c ""$INSTDIR\tandem.exe" $R0 > "$PLUGINSDIR\said.txt" 2>&1"'
    Pop $Code
    FileOpen $R1 "$PLUGINSDIR\said.txt" r
    FileOpen $R2 "$INSTDIR\setup.log" a
    FileSeek $R2 0 END
    FileWriteUTF16LE $R2 "> tandem$\r$\n"
    ${Do}
        ClearErrors
        FileRead $R1 $R3
        ${If} ${Errors}
            ${ExitDo}
        ${EndIf}
        FileWriteUTF16LE $R2 "$R3"
        ${Do}
            StrCpy $R4 $R3 1 -1
            ${If} $R4 != "$\n"
            ${AndIf} $R4 != "$\r"
                ${ExitDo}
            ${EndIf}
            StrCpy $R3 $R3 -1
        ${Loop}
        DetailPrint "  $R3"
    ${Loop}
    FileClose $R1
    FileClose $R2
FunctionEnd

; Adds NAME='$R0' to the file $R9, in UTF-8 whatever the computer's code page; a quotation mark in it is written as a shell has it.
!macro Secret name
    Push "${name}"
    Call Secret
!macroend

Function Secret
    Pop $R1
    StrCpy $R2 "$R1='"
    StrCpy $R3 0
    ${Do}
        StrCpy $R4 $R0 1 $R3
        ${If} $R4 == ""
            ${ExitDo}
        ${EndIf}
        ${If} $R4 == "'"
            StrCpy $R4 `'"'"'`
        ${EndIf}
        StrCpy $R2 "$R2$R4"
        IntOp $R3 $R3 + 1
    ${Loop}
    StrCpy $R2 "$R2'$\r$\n"
    System::Call 'kernel32::WideCharToMultiByte(i 65001, i 0, w R2, i -1, p 0, i 0, p 0, p 0) i .R5'
    System::Alloc $R5
    Pop $R6
    System::Call 'kernel32::WideCharToMultiByte(i 65001, i 0, w R2, i -1, p R6, i R5, p 0, p 0)'
    IntOp $R5 $R5 - 1 ; without the nought at its end
    System::Call 'kernel32::WriteFile(p R9, p R6, i R5, *i .R7, p 0)'
    System::Free $R6
FunctionEnd

; Puts the name of a password into an address, before the @ that ends the user: $R0 the address, $R1 the name; $R0 is the answer.
Function WithPassword
    StrCpy $R7 0
    ${Do}
        StrCpy $R4 $R0 1 $R7
        ${If} $R4 == ""
            Return
        ${EndIf}
        ${If} $R4 == "@"
            StrCpy $R3 $R0 $R7
            StrCpy $R4 $R0 "" $R7
            StrCpy $R0 "$R3:$${$R1}$R4"
            Return
        ${EndIf}
        IntOp $R7 $R7 + 1
    ${Loop}
FunctionEnd

; Whether the address $R0 brings a password: $R1 is 1 then.
Function HasPassword
    StrCpy $R1 0
    StrCpy $R7 0
    StrCpy $R6 0 ; colons so far
    ${Do}
        StrCpy $R4 $R0 1 $R7
        ${If} $R4 == ""
        ${OrIf} $R4 == "?"
            Return
        ${EndIf}
        ${If} $R4 == ":"
            IntOp $R6 $R6 + 1
        ${EndIf}
        ${If} $R4 == "@"
            ${If} $R6 > 1
                StrCpy $R1 1
            ${EndIf}
            Return
        ${EndIf}
        IntOp $R7 $R7 + 1
    ${Loop}
FunctionEnd

Function MakeSettings
    StrCpy $New "$PLUGINSDIR\new"
    CreateDirectory "$New"
    FileOpen $R9 "$New\.env" w
    ${If} $DesktopPassword != ""
        StrCpy $R0 $DesktopPassword
        !insertmacro Secret DESKTOP_DB_PASSWORD
    ${EndIf}
    ${If} $CloudPassword != ""
        StrCpy $R0 $CloudPassword
        !insertmacro Secret SUPABASE_DB_PASSWORD
    ${EndIf}
    FileClose $R9
    ; By the environment, since everybody can see command lines; the settings then name the variable, and .env has its value.
    StrCpy $R0 $DesktopUrl
    ${If} $DesktopPassword != ""
        StrCpy $R1 DESKTOP_DB_PASSWORD
        Call WithPassword
        StrCpy $R2 $DesktopPassword
        System::Call 'kernel32::SetEnvironmentVariable(t "DESKTOP_DB_PASSWORD", t R2)'
    ${EndIf}
    StrCpy $DesktopUrl $R0
    StrCpy $R0 $CloudUrl
    ${If} $CloudPassword != ""
        StrCpy $R1 SUPABASE_DB_PASSWORD
        Call WithPassword
        StrCpy $R2 $CloudPassword
        System::Call 'kernel32::SetEnvironmentVariable(t "SUPABASE_DB_PASSWORD", t R2)'
    ${EndIf}
    StrCpy $CloudUrl $R0
    !insertmacro Tandem 'init --yes --desktop "$DesktopUrl" --cloud "$CloudUrl" --out "$New\tandem.toml"'
    System::Call 'kernel32::SetEnvironmentVariable(t "DESKTOP_DB_PASSWORD", p 0)'
    System::Call 'kernel32::SetEnvironmentVariable(t "SUPABASE_DB_PASSWORD", p 0)'
    ${If} $Code <> 0
        MessageBox MB_OK|MB_ICONSTOP "The settings could not be made: the details say why.$\r$\n$\r$\nNothing was changed in either database. Mend it, and start this installer again." /SD IDOK
        SetErrorLevel 2
        Abort "tandem init ended with $Code"
    ${EndIf}
    !insertmacro Tandem '-c "$New\tandem.toml" doctor'
    ${If} $Code <> 0
        StrCpy $Needs "tandem doctor found something"
    ${EndIf}
    !insertmacro Tandem '-c "$New\tandem.toml" bootstrap --plan'
    ${If} $Code <> 0
    ${AndIf} $Needs == ""
        StrCpy $Needs "tandem bootstrap --plan has something to say"
    ${EndIf}
FunctionEnd

Section
    SetShellVarContext all
    SetRegView 64
    InitPluginsDir
    SetOutPath $INSTDIR
    Delete "$INSTDIR\setup.log"
    ${If} ${FileExists} "$INSTDIR\tandem.exe"
        ; It may run.
        !insertmacro Tandem 'service stop'
    ${EndIf}
    File "/oname=tandem.exe" "${EXE}"
    WriteUninstaller "$INSTDIR\uninstall.exe"
    WriteRegStr HKLM "${GONE}" DisplayName "tandem (PostgreSQL replication)"
    WriteRegStr HKLM "${GONE}" DisplayVersion "${VERSION}"
    WriteRegStr HKLM "${GONE}" UninstallString '"$INSTDIR\uninstall.exe"'
    WriteRegStr HKLM "${GONE}" QuietUninstallString '"$INSTDIR\uninstall.exe" /S'
    WriteRegStr HKLM "${GONE}" InstallLocation "$INSTDIR"
    WriteRegDWORD HKLM "${GONE}" NoModify 1
    WriteRegDWORD HKLM "${GONE}" NoRepair 1
    CreateShortcut "$SMPROGRAMS\tandem.lnk" "$SYSDIR\cmd.exe" '/k cd /d "$INSTDIR" && tandem status' "$INSTDIR\tandem.exe"

    ${If} $Fresh = 1
        ${If} $DesktopUrl == ""
        ${OrIf} $CloudUrl == ""
            MessageBox MB_OK|MB_ICONSTOP "Both addresses are needed: TANDEM_DESKTOP_URL and TANDEM_CLOUD_URL" /SD IDOK
            SetErrorLevel 2
            Abort "no addresses"
        ${EndIf}
        Call MakeSettings
        !insertmacro Tandem '-c "$New\tandem.toml" service install'
    ${Else}
        !insertmacro Tandem '-c "$Data\tandem.toml" service install'
    ${EndIf}
    ${If} $Code <> 0
        MessageBox MB_OK|MB_ICONSTOP "The service could not be installed: the details say why." /SD IDOK
        SetErrorLevel 3
        Abort "tandem service install ended with $Code"
    ${EndIf}

    ${If} $Needs != ""
        MessageBox MB_OK|MB_ICONEXCLAMATION "$Needs: the details say what. The service is installed and was not started.$\r$\n$\r$\nMend it in $Data\tandem.toml or in the databases; then tandem doctor, and tandem service start." /SD IDOK
        SetErrorLevel 4
        Return
    ${EndIf}
    ${If} $NoStart = 1
        Return
    ${EndIf}
    MessageBox MB_YESNO|MB_ICONQUESTION "All is well. Start replicating now?$\r$\n$\r$\nThe first copy makes the cloud's tables equal to the office's as the details (tandem bootstrap --plan) say; phones' rows are never touched." /SD IDYES IDNO later
    !insertmacro Tandem 'service start'
    ${If} $Code <> 0
        MessageBox MB_OK|MB_ICONEXCLAMATION "The service was started and did not stay: the details say why." /SD IDOK
        SetErrorLevel 4
    ${EndIf}
later:
SectionEnd

Section un.install
    SetShellVarContext all
    SetRegView 64
    nsExec::ExecToLog '"$INSTDIR\tandem.exe" service uninstall'
    Pop $0
    ${If} $0 <> 0
        MessageBox MB_OK|MB_ICONSTOP "The service could not be taken out; nothing was removed." /SD IDOK
        SetErrorLevel 3
        Abort
    ${EndIf}
    Delete "$SMPROGRAMS\tandem.lnk"
    Delete "$INSTDIR\tandem.exe"
    Delete "$INSTDIR\setup.log"
    Delete "$INSTDIR\uninstall.exe"
    RMDir "$INSTDIR"
    DeleteRegKey HKLM "${GONE}"
    DetailPrint "Settings and logs stay in $APPDATA\tandem; both databases stay as they are."
SectionEnd
